-- The body of reporting.why; storage/provenance.py fills in what stands between percent signs.
#variable_conflict use_column
declare
    known constant jsonb := '%KNOWN%';
    of constant text := 'reporting.' || why.mart;
    stack jsonb[];
    below jsonb[];
    found jsonb[];
    node jsonb;
    shape jsonb;
    edge record;
    held jsonb;
    seen jsonb := '{}';
    mark text;
    query text;
    symbols text[];
    series text[];
    newest_first text;
    low timestamptz;
    high timestamptz;
    at timestamptz;
begin
    shape := known -> of;
    if shape is null then
        raise exception 'reporting.% is no mart whose lineage is known', why.mart
            using errcode = 'invalid_parameter_value';
    end if;
    if why."column" is not null and not (shape -> 'made_of') ? why."column" then
        raise exception 'reporting.% has no column %', why.mart, why."column"
            using errcode = 'invalid_parameter_value';
    end if;

    -- the rows of the mart
    query := 'select array_agg(jsonb_build_object(''held'', to_jsonb(r), ''low'', '
        || coalesce(shape ->> 'low', 'null') || ', ''high'', ' || coalesce(shape ->> 'high', 'null')
        || ') order by to_jsonb(r)) from ' || of || ' as r where true';
    if shape ->> 'time' is not null and why.ts is not null then
        query := query || format(' and r.%I = $1', shape ->> 'time');
    end if;
    if jsonb_array_length(shape -> 'symbols') > 0 and why.symbol is not null then
        query := query || ' and $2 = concat_ws(''|''' || (
            select string_agg(format(', r.%I', s), '' order by n)
            from jsonb_array_elements_text(shape -> 'symbols') with ordinality as x (s, n)
        ) || ')';
    end if;
    execute query into below using why.ts, why.symbol;
    stack := array(
        select jsonb_build_object(
            'table', of, 'depth', 0, 'columns', case when why."column" is null then null
            else jsonb_build_array(why."column") end
        ) || b from unnest(below) with ordinality as x (b, n) order by n desc
    );

    step := 0;
    while cardinality(stack) > 0 loop
        node := stack[cardinality(stack)];
        stack := trim_array(stack, 1);
        held := nullif(node -> 'held', 'null');
        input_table := node ->> 'table';
        shape := known -> input_table;
        step := step + 1;
        made_for := (node ->> 'made_for')::int;
        depth := (node ->> 'depth')::int;
        columns := case when jsonb_typeof(node -> 'columns') = 'array'
            then array(select jsonb_array_elements_text(node -> 'columns')) end;
        row_key := (
            select jsonb_object_agg(k, held -> k) from jsonb_array_elements_text(shape -> 'key') as k
            where held is not null
        );
        value := (
            select jsonb_object_agg(c.key, c.value) from jsonb_each(held) as c
            where c.key = any(columns) or (columns is null and not shape -> 'aside' ? c.key)
        );
        status := held ->> 'status';
        reason := held ->> 'reason';
        source := held ->> 'source';
        venue := held ->> 'venue';
        source_tier := (held ->> 'source_tier')::bigint;
        available_at := (held ->> 'available_at')::timestamptz;
        ingested_at := (held ->> 'ingested_at')::timestamptz;
        revision := (held ->> 'revision')::bigint;
        run_id := held ->> 'run_id';
        method_version := held ->> 'method_version';
        payload_id := held ->> 'payload_id';
        history_from := (node ->> 'history_from')::timestamptz;
        history_rows := (node ->> 'history_rows')::bigint;
        note := node ->> 'note';
        mark := input_table || row_key::text || case when depth = 0 then '' else ' ' end;
        if note is null and seen ? mark then
            note := 'as in step ' || (seen ->> mark);
        elsif note is null then
            seen := seen || jsonb_build_object(mark, step);
            below := '{}';
            at := (held ->> (shape ->> 'time'))::timestamptz;
            symbols := array(
                select distinct s from unnest(
                    array[held ->> 'symbol', held ->> 'symbol_a', held ->> 'symbol_b']
                    || string_to_array(held ->> 'instrument', '|')
                ) as s where s is not null order by s
            );
            for edge in
                select i ->> 'table' as name, i -> 'columns' as columns, i -> 'where' as where_,
                    (i ->> 'lookback')::interval as lookback, (i ->> 'of_universe')::boolean as of_universe, n
                from jsonb_array_elements(shape -> 'inputs') with ordinality as x (i, n)
                where not exists (
                    select from jsonb_each_text(i -> 'when') as w where held ->> w.key is distinct from w.value
                )
                union all
                select t.key, jsonb_agg(distinct c), '{}'::jsonb, null, false, min(m.n)
                from jsonb_each(shape -> 'made_of') with ordinality as m (key, value, n),
                    jsonb_each(m.value) as t, jsonb_array_elements(t.value) as c
                where columns is null or m.key = any(columns)
                group by t.key
                order by 6
            loop
                -- what the input's rows have in common with this one, beside symbols and time
                select array_agg(format('t.%I', k)) filter (where k <> time_),
                    coalesce(string_agg(format(' and t.%I = %L', k, held ->> k), '')
                        filter (where not is_symbol and k <> time_ and not edge.where_ ? k
                            and held ->> k is not null), '')
                into series, query
                from (
                    select k, coalesce(known -> edge.name ->> 'time', '') as time_,
                        (known -> edge.name -> 'symbols') ? k as is_symbol
                    from jsonb_array_elements_text(known -> edge.name -> 'key') as k
                ) as of_key;
                query := query || coalesce((
                    select string_agg(format(' and t.%I = %L', w.key, w.value), '')
                    from jsonb_each_text(edge.where_) as w
                ), '');
                if cardinality(symbols) > 0 then
                    query := query || coalesce((
                        select string_agg(format(' and t.%I = any($3)', s), '')
                        from jsonb_array_elements_text(known -> edge.name -> 'symbols') as s
                        where jsonb_array_length(known -> edge.name -> 'symbols') = 1 or cardinality(symbols) > 1
                    ), '');
                    if jsonb_array_length(known -> edge.name -> 'symbols') > 1 and cardinality(symbols) = 1 then
                        query := query || ' and (' || (
                            select string_agg(format('t.%I = any($3)', s), ' or ')
                            from jsonb_array_elements_text(known -> edge.name -> 'symbols') as s
                        ) || ')';
                    end if;
                end if;
                if not shape ? 'made_of' then
                    low := coalesce(at - edge.lookback, '-infinity');
                    high := at + interval '1 hour';
                elsif node ->> 'low' is not null then
                    low := (node ->> 'low')::timestamptz;
                    high := (node ->> 'high')::timestamptz;
                else -- a row of the mart is a row of the table
                    low := coalesce((held ->> (known -> edge.name ->> 'time'))::timestamptz, at);
                    high := low + interval '1 microsecond';
                end if;
                if known -> edge.name ->> 'time' is not null and high is not null then
                    query := query || format(' and t.%1$I >= $1 and t.%1$I < $2', known -> edge.name ->> 'time');
                end if;
                if known -> edge.name ? 'instrument' and cardinality(symbols) > 0 then
                    query := query || ' and string_to_array(t.instrument, ''|'') && $3';
                end if;
                newest_first := case when known -> edge.name ->> 'time' is null then ''
                    else format(', t.%I desc', known -> edge.name ->> 'time') end;
                query := format(
                    'select array_agg(n.r order by n.r -> ''#'') from (select to_jsonb(t) as r from ('
                    'select distinct on (%1$s) t.*, jsonb_build_array(%1$s) as "#", '
                    'count(*) over (partition by %1$s) as "##" '
                    'from %2$s as t where true%3$s order by %1$s%4$s'
                    ') as t order by null::text%4$s limit %SERIES%) as n',
                    coalesce(array_to_string(series, ', '), 'null::text'), edge.name, query, newest_first
                );
                execute query into found using low, high, symbols;
                below := below || case when found is null then array[jsonb_build_object(
                    'table', edge.name, 'made_for', step, 'depth', depth + 1, 'columns', edge.columns,
                    'history_from', nullif(low, '-infinity'), 'history_rows', 0,
                    'note', 'no row of it in this history')]
                else array(
                    select jsonb_build_object(
                        'table', edge.name, 'made_for', step, 'depth', depth + 1, 'columns', edge.columns,
                        'history_from', nullif(low, '-infinity'), 'history_rows', f -> '##', 'held', f - '#' - '##',
                        'remark', case when edge.of_universe and cardinality(symbols) > 0
                            then 'read of every configured symbol, shown for this one' end)
                    from unnest(found) with ordinality as x (f, n) order by n
                ) end;
            end loop;
            if cardinality(below) = 0 then
                note := case
                    when shape ? 'made_of' then 'counts or names rows: ask for another column'
                    when held ->> 'payload_id' is not null then null
                    when held ? 'payload_id' then 'no reply of a provider is kept of this row'
                    else 'kept by the pipeline about its own work'
                end;
            end if;
            stack := stack || array(select b from unnest(below) with ordinality as x (b, n) order by n desc);
        end if;
        note := concat_ws('; ', note, node ->> 'remark');
        if step = %MOST% and cardinality(stack) > 0 then
            note := concat_ws('; ', note, cardinality(stack) || ' more inputs are not shown: ask for a column');
            stack := '{}';
        end if;
        note := nullif(note, '');
        return next;
    end loop;
end
