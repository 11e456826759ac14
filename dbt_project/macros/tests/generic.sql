{# No two rows share the values of these columns. #}
{% test unique_combination(model, columns) %}
    select {{ columns | join(', ') }}
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}

{# Not-null values lie between the bounds, both included. #}
{% test accepted_range(model, column_name, min_value=none, max_value=none) %}
    select {{ column_name }}
    from {{ model }}
    where
        {% if min_value is not none %}{{ column_name }} < {{ min_value }}{% else %}false{% endif %}
        {% if max_value is not none %}or {{ column_name }} > {{ max_value }}{% endif %}
{% endtest %}

{# A value is there when its status is ok, and is null when its status says that it can't be used. #}
{% test present_iff_ok(model, column_name, status_column) %}
    select {{ column_name }}, {{ status_column }}
    from {{ model }}
    where ({{ status_column }} = 'ok' and {{ column_name }} is null)
        or (not ({{ usable(status_column) }}) and {{ column_name }} is not null)
{% endtest %}

{# The condition holds in every row; unknown counts as held. #}
{% test expression(model, condition) %}
    select *
    from {{ model }}
    where not ({{ condition }})
{% endtest %}
