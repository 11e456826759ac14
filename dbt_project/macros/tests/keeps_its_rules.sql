{#
    Every condition holds in every row that this build made anew; unknown counts as held. One query for
    all of a mart's rules, because each dbt test costs as much as a small model.
#}
{% test keeps_its_rules(model, key, rules, time_column=none) %}
    select {{ key | join(', ') }}, broken
    from (
        select
            {{ key | join(', ') }},
            array_remove(array[
                {%- for name, condition in rules.items() %}
                case when not ({{ condition }}) then '{{ name }}' end{{ ',' if not loop.last }}
                {%- endfor %}
            ]::text[], null) as broken
        from {{ model }}
        {%- if time_column %}
        where {{ time_column }} >= {{ window_start() }} and {{ time_column }} < {{ window_end() }}
        {%- endif %}
    ) as judged
    where cardinality(broken) > 0
{% endtest %}
