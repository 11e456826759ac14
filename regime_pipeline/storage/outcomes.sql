-- What followed after a condition on stored fields: functions in the schema reporting, with the rights of
-- whoever calls them. Sums by week are all that the intervals are made of, so that any other code that
-- adds up the same rows finds the same numbers.

create or replace function reporting.outcomes_condition(
    node jsonb, depth integer, out predicate text, out marts text[], out leaves integer
) language plpgsql stable as $function$
-- The SQL of a condition, the marts it reads and how many comparisons it makes. Identifiers come from
-- reporting.askable, values are literals of a checked type; whatever is not understood is refused.
declare
    key text;
    item jsonb;
    part record;
    asked record;
    parts text[] := '{}';
    value jsonb;
    listed text[] := '{}';
    operator text;
    refused constant text := 'invalid_condition: ';
begin
    marts := '{}';
    leaves := 0;
    if node is null or jsonb_typeof(node) <> 'object' then
        raise exception using errcode = '22023', message = refused || 'a condition is an object';
    end if;
    if not node ? 'field' then
        select min(k) into key from jsonb_object_keys(node) as k;
        if key is null or (select count(*) from jsonb_object_keys(node)) <> 1
            or key not in ('all', 'any', 'not') then
            raise exception using errcode = '22023',
                message = refused || 'a group has one of all, any, not; a comparison has a field';
        end if;
        if jsonb_typeof(node -> key) <> 'array' or jsonb_array_length(node -> key) not between 1 and 8 then
            raise exception using errcode = '22023', message = refused || key || ' lists 1 to 8 conditions';
        end if;
        if depth > 3 then
            raise exception using errcode = '22023', message = refused || 'groups are nested at most 3 deep';
        end if;
        for item in select * from jsonb_array_elements(node -> key) loop
            part := reporting.outcomes_condition(item, depth + 1);
            parts := parts || part.predicate;
            marts := marts || array(select m from unnest(part.marts) as m where m <> all (marts));
            leaves := leaves + part.leaves;
        end loop;
        predicate := '(' || array_to_string(parts, case when key = 'all' then ' and ' else ' or ' end) || ')';
        if key = 'not' then
            predicate := '(not ' || predicate || ')';
        end if;
    else
        if not node ?& array['field', 'op', 'value'] or (select count(*) from jsonb_object_keys(node)) <> 3 then
            raise exception using errcode = '22023', message = refused || 'a comparison has field, op, value';
        end if;
        select * into asked from reporting.askable as a
        where jsonb_typeof(node -> 'field') = 'string' and a.field = node ->> 'field';
        if not found then
            raise exception using errcode = '22023',
                message = refused || left(node ->> 'field', 80) || ' is not in reporting.askable';
        end if;
        operator := node ->> 'op';
        value := node -> 'value';
        if operator in ('>=', '>', '<=', '<', 'is') then
            listed := array[value #>> '{}'];
        elsif operator in ('between', 'in') and jsonb_typeof(value) = 'array'
            and jsonb_array_length(value) between 1 and 20 then
            listed := array(select v from jsonb_array_elements_text(value) as v);
        end if;
        if cardinality(listed) = 0 or (operator = 'between' and cardinality(listed) <> 2)
            or (asked.kind <> 'number' and operator not in ('is', 'in'))
            or exists (
                select from jsonb_array_elements(
                    case when operator in ('between', 'in') then value else jsonb_build_array(value) end
                ) as v
                where jsonb_typeof(v) <> case asked.kind when 'text' then 'string' else asked.kind end
                    or (asked.kind = 'text' and not asked.allowed ? (v #>> '{}'))
                    or case when jsonb_typeof(v) = 'number' then abs((v #>> '{}')::numeric) > 1e300 end
            ) then
            raise exception using errcode = '22023', message = refused || asked.field || ' is a '
                || asked.kind || coalesce(' of ' || asked.allowed::text, '')
                || ' and cannot be asked ' || left(coalesce(operator, 'that'), 20) || ' with that value';
        end if;
        select array_agg(
            format('%L::%s', v, case asked.kind when 'number' then 'double precision' else asked.kind end)
            order by n
        ) into listed from unnest(listed) with ordinality as u (v, n);
        predicate := format('%I.%I ', asked.mart, asked.column_name) || case operator
            when 'is' then '= ' || listed[1]
            when 'in' then 'in (' || array_to_string(listed, ', ') || ')'
            when 'between' then 'between ' || listed[1] || ' and ' || listed[2]
            else operator || ' ' || listed[1]
        end;
        marts := array[asked.mart];
        leaves := 1;
    end if;
end
$function$;

create or replace function reporting.outcomes_t(two_sided double precision, freedom double precision)
returns double precision language plpgsql immutable strict parallel safe as $function$
-- The quantile of Student's t for a two-sided interval, by bisection over the incomplete beta function.
declare
    tail constant double precision := 1 - two_sided;
    b constant double precision := freedom / 2;
    lanczos constant double precision[] := array[
        676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
        12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7
    ];
    gamma double precision[] := '{}';
    z double precision;
    total double precision;
    log_beta double precision;
    low double precision := 0;
    high double precision := 1;
    x double precision;
    p double precision;
    q double precision;
    swapped boolean;
    front double precision;
    c double precision;
    d double precision;
    step double precision;
    found double precision;
begin
    foreach z in array array[b, 0.5, b + 0.5] loop
        total := 0.99999999999980993;
        for i in 1..8 loop
            total := total + lanczos[i] / (z - 1 + i);
        end loop;
        gamma := gamma || (0.5 * ln(2 * pi()) + (z - 0.5) * ln(z + 6.5) - (z + 6.5) + ln(total));
    end loop;
    log_beta := gamma[1] + gamma[2] - gamma[3];
    -- the share outside of +-t is I_x(b, 1/2) at x = freedom / (freedom + t^2); it grows with x
    for halving in 1..200 loop
        x := (low + high) / 2;
        exit when x <= low or x >= high;
        swapped := x > (b + 1) / (b + 2.5);
        p := case when swapped then 0.5 else b end;
        q := case when swapped then b else 0.5 end;
        z := case when swapped then 1 - x else x end;
        front := exp(p * ln(z) + q * ln(1 - z) - log_beta) / p;
        c := 1;
        d := 1 / (1 - (p + q) * z / (p + 1));
        found := d;
        for m in 1..500 loop
            step := m * (q - m) * z / ((p + 2 * m - 1) * (p + 2 * m));
            d := 1 / (1 + step * d);
            c := 1 + step / c;
            found := found * d * c;
            step := -(p + m) * (p + q + m) * z / ((p + 2 * m) * (p + 2 * m + 1));
            d := 1 / (1 + step * d);
            c := 1 + step / c;
            found := found * d * c;
            exit when abs(d * c - 1) < 1e-16;
        end loop;
        found := front * found;
        if (case when swapped then 1 - found else found end) < tail then
            low := x;
        else
            high := x;
        end if;
    end loop;
    return sqrt(freedom * (1 - x) / x);
end
$function$;

create or replace function reporting.outcomes_variance(
    week bigint[], n double precision[], hit double precision[],
    other_n double precision[] default null, other_hit double precision[] default null
) returns double precision language sql immutable parallel safe as $function$
-- Variance of a share, or of its difference to another one, by leaving out blocks of 1, 2 and 4 weeks; the
-- largest of the three counts. Null where all rows lie in one block.
with sums as (
    select w.week / l as block, l, sum(w.n) as n, sum(w.hit) as hit,
        coalesce(sum(w.other_n), 0) as other_n, coalesce(sum(w.other_hit), 0) as other_hit
    from unnest(week, n, hit, other_n, other_hit) as w (week, n, hit, other_n, other_hit)
    cross join (values (1), (2), (4)) as lengths (l)
    group by 1, 2
), whole as (
    select l, sum(n) as n, sum(hit) as hit, sum(other_n) as other_n, sum(other_hit) as other_hit
    from sums group by l
), changes as (
    select s.l, s.block,
        case when s.n = 0 then 0 else (s.hit - w.hit / w.n * s.n) / nullif(w.n - s.n, 0) end
        - case when s.other_n = 0 then 0
            else (s.other_hit - w.other_hit / w.other_n * s.other_n) / nullif(w.other_n - s.other_n, 0)
        end as change
    from sums as s join whole as w using (l)
    where s.n > 0 or s.other_n > 0
), found as (
    select (count(*) - 1.0::double precision) / count(*) * sum(change ^ 2 order by block) as variance,
        count(*) < 2 or count(change) < count(*) as is_unknown
    from changes group by l
)
select case when bool_or(is_unknown) then null else max(variance) end from found
$function$;

create or replace function reporting.outcomes_quantile(
    sorted double precision[], share double precision
) returns double precision language plpgsql immutable parallel safe as $function$
-- What percentile_cont answers, of numbers that are sorted already.
declare
    place constant double precision := share * (cardinality(sorted) - 1);
    low constant integer := floor(place);
    high constant integer := ceil(place);
begin
    if low = high then
        return sorted[low + 1];
    end if;
    return sorted[low + 1] + (place - low) * (sorted[high + 1] - sorted[low + 1]);
end
$function$;

create or replace function reporting.outcomes(
    condition jsonb,
    horizon_h integer,
    as_of timestamptz default now(),
    symbols text[] default null,
    out n_rows bigint,
    out n_eff double precision,
    out blocks_eff double precision,
    out span_days double precision,
    out price text,
    out reason text,
    out p_up double precision,
    out p_up_low double precision,
    out p_up_high double precision,
    out mean double precision,
    out p10 double precision,
    out p10_low double precision,
    out p10_high double precision,
    out median double precision,
    out median_low double precision,
    out median_high double precision,
    out p90 double precision,
    out p90_low double precision,
    out p90_high double precision,
    out base_rows bigint,
    out base_p_up double precision,
    out base_mean double precision,
    out differs boolean
) language plpgsql stable set enable_nestloop = off set enable_mergejoin = off
    set work_mem = '96MB' as $function$
-- Only hash joins are left: nothing is known beforehand of how many rows a condition leaves, and a loop over
-- two lists of hundreds of thousands never ends.
declare
    asked record;
    is_entry boolean := false;
    node jsonb := condition;
    source text;
    usable text;
    week bigint[];
    n double precision[];
    hit double precision[];
    base_n double precision[];
    base_hit double precision[];
    hours bigint[];
    returns double precision[];
    variance double precision;
    quantile double precision;
    apart bigint := 0;
    free_from bigint := 0;
    spot bigint;
    sorted double precision[];
    points double precision[];
    below_10 double precision[];
    below_50 double precision[];
    below_90 double precision[];
    p double precision;
    z2 double precision;
    half double precision;
    bounds double precision[] := '{}';
    unit constant interval := interval '1 hour';
begin
    if horizon_h is null or horizon_h not in (1, 4, 24, 72) then
        raise exception using errcode = '22023', message = 'invalid_condition: the horizon is 1, 4, 24 or 72 h';
    end if;
    if jsonb_typeof(node) = 'object' and node ? 'entry' then
        if jsonb_typeof(node -> 'entry') <> 'boolean' then
            raise exception using errcode = '22023', message = 'invalid_condition: entry is true or false';
        end if;
        is_entry := (node ->> 'entry')::boolean;
        node := node - 'entry';
    end if;
    asked := reporting.outcomes_condition(node, 1);
    if asked.leaves > 8 then
        raise exception using errcode = '22023', message = 'invalid_condition: at most 8 comparisons';
    end if;
    source := format('reporting.%1$I as %1$I', asked.marts[1]);
    usable := format('%I.status in (''ok'', ''partial'')', asked.marts[1]);
    for i in 2..cardinality(asked.marts) loop
        source := source || format(
            ' join reporting.%1$I as %1$I on %1$I.symbol = %2$I.symbol and %1$I.ts = %2$I.ts',
            asked.marts[i], asked.marts[1]
        );
        usable := usable || format(' and %I.status in (''ok'', ''partial'')', asked.marts[i]);
    end loop;
    price := case when exists (
        select from reporting.candles_1h as c
        where c.market = 'perp' and (symbols is null or c.symbol = any (symbols)) and c.ts <= as_of - unit
    ) then 'perp' else 'spot' end;

    -- hours since 1970. Closes are an array a symbol, hour after hour, so that what came later is an element
    -- further on; a window over all rows takes three times as long.
    execute format(
        $query$
        with judged as materialized (
            select symbol, array_agg(hour) filter (where holds) as hours, min(hour) as since, max(hour) as until
            from (
                select %1$I.symbol, date_part('epoch', %1$I.ts)::bigint / 3600 as hour,
                    coalesce(%2$s, false) as holds
                from %3$s
                where %4$s and %1$I.ts <= $1 - interval '1 hour'
                    and ($2::text[] is null or %1$I.symbol = any ($2))
            ) as every
            group by symbol
        ), span as materialized (
            select min(since) as since, max(until) as until from judged
        ), series as materialized (
            select symbol, row_number() over (order by symbol) as place, since as first,
                case when cardinality(closes) = until - since + 1 then closes else array(
                    select coalesce(case when c.close > 0 then ln(c.close) end, 'NaN')
                    from generate_series(since, until) as g (hour)
                    left join reporting.candles_1h as c
                        on c.market = $3 and c.symbol = found.symbol and c.ts = to_timestamp(g.hour * 3600)
                    order by g.hour
                ) end as closes
            from (
                select symbol, date_part('epoch', min(ts))::bigint / 3600 as since,
                    date_part('epoch', max(ts))::bigint / 3600 as until,
                    array_agg(case when close > 0 then ln(close) else 'NaN' end order by ts) as closes
                from reporting.candles_1h
                where market = $3 and ($2::text[] is null or symbol = any ($2)) and ts <= $1 - interval '1 hour'
                group by symbol
            ) as found
        ), weeks as (
            select (first + k - 96) / 168 as week, count(*) as n, count(*) filter (where later > now) as up,
                sum(later - now) as total, min(first + k) as first_hour, max(first + k) as last_hour
            from span cross join series
            cross join unnest(closes, closes[1 + $4:]) with ordinality as u (now, later, k)
            where later - now <> 'NaN' and first + k - 1 between since and until
            group by 1
        ), held as materialized ( -- or a sort would carry the arrays in every row
            select place, hour, closes[hour - first + 1 + $4] - closes[hour - first + 1] as ret
            from judged join series using (symbol) cross join unnest(hours) as u (hour)
        ), chosen as (
            %5$s
        ), kept as (
            select place, hour + 1 as hour, ret from chosen where ret <> 'NaN'
        ), kept_weeks as (
            select (hour - 96) / 168 as week, count(*) as n, count(*) filter (where ret > 0) as up
            from kept group by 1
        ), listed as (
            select array_agg((place << 40) + hour) as hours, array_agg(ret) as returns
            from (select * from kept order by place, hour) as in_order
        )
        select array_agg(w.week order by w.week), array_agg(coalesce(h.n, 0) order by w.week),
            array_agg(coalesce(h.up, 0) order by w.week), array_agg(w.n order by w.week),
            array_agg(w.up order by w.week), sum(w.total order by w.week) / sum(w.n),
            (max(last_hour) - min(first_hour) + 1) / 24.0,
            (select l.hours from listed as l), (select l.returns from listed as l)
        from weeks as w left join kept_weeks as h using (week)
        $query$,
        asked.marts[1],
        asked.predicate,
        source,
        usable,
        case when is_entry then
            'select place, hour, ret from ('
            'select *, lag(hour, 1, -24::bigint) over (partition by place order by hour) as before from held'
            ') as hits where hour - before > 24'
        else 'select place, hour, ret from held' end
    )
    into week, n, hit, base_n, base_hit, base_mean, span_days, hours, returns
    using as_of, symbols, price, horizon_h;

    n_rows := coalesce(cardinality(hours), 0);
    base_rows := coalesce((select sum(v) from unnest(base_n) as v), 0);
    span_days := coalesce(span_days, 0);
    n_eff := 0;
    blocks_eff := 0;
    if n_rows > 0 then
        foreach spot in array hours loop -- of the next symbol all hours are later
            if spot >= free_from then
                apart := apart + 1;
                free_from := spot + horizon_h;
            end if;
        end loop;
        select sum(s.n) ^ 2 / sum(s.n ^ 2) into blocks_eff
        from (select sum(u.n) as n from unnest(week, n) as u (week, n) group by u.week / 4) as s;
        p_up := (select sum(v) from unnest(hit) as v) / n_rows;
        variance := reporting.outcomes_variance(week, n, hit);
        p := case when p_up in (0, 1) then (p_up * n_rows + 0.5) / (n_rows + 1) else p_up end;
        n_eff := least(n_rows, apart, case when variance > 0 then p * (1 - p) / variance else n_rows end);
    end if;
    reason := case
        when span_days < 365 then format('%s days of history, 365 needed', round(span_days))
        when n_eff < 30 then format('%s effective, 30 needed', round(n_eff))
        when blocks_eff < 8 then format('%s effective months, 8 needed', round(blocks_eff))
    end;
    if reason is not null then
        p_up := null;
        base_mean := null;
        return;
    end if;
    base_p_up := (select sum(v) from unnest(base_hit) as v) / base_rows;
    mean := (select avg(v) from unnest(returns) as v);
    sorted := array(select v from unnest(returns) as v order by v);
    quantile := reporting.outcomes_t(0.95, greatest(blocks_eff - 1, 1));
    z2 := quantile ^ 2;
    half := quantile / (1 + z2 / n_eff) * sqrt(p_up * (1 - p_up) / n_eff + z2 / (4 * n_eff ^ 2));
    p_up_low := greatest(0, (p_up + z2 / (2 * n_eff)) / (1 + z2 / n_eff) - half);
    p_up_high := least(1, (p_up + z2 / (2 * n_eff)) / (1 + z2 / n_eff) + half);
    points := array(select reporting.outcomes_quantile(sorted, q) from unnest(array[0.1, 0.5, 0.9]) as q);
    select array_agg(a order by w.week), array_agg(b order by w.week), array_agg(c order by w.week)
    into below_10, below_50, below_90
    from (
        select ((u.hour & 1099511627775) - 96) / 168 as week, count(*) filter (where u.v <= points[1]) as a,
            count(*) filter (where u.v <= points[2]) as b, count(*) filter (where u.v <= points[3]) as c
        from unnest(hours, returns) as u (hour, v) group by 1
    ) as w;
    for i in 1..3 loop
        p := (array[0.1, 0.5, 0.9])[i];
        variance := reporting.outcomes_variance(
            array(select w from unnest(week, n) as u (w, c) where c > 0 order by w),
            array(select c from unnest(week, n) as u (w, c) where c > 0 order by w),
            case i when 1 then below_10 when 2 then below_50 else below_90 end
        );
        half := coalesce(quantile * sqrt(variance), 1);
        bounds := bounds || points[i] || reporting.outcomes_quantile(sorted, greatest(0, p - half))
            || reporting.outcomes_quantile(sorted, least(1, p + half));
    end loop;
    p10 := bounds[1];
    p10_low := bounds[2];
    p10_high := bounds[3];
    median := bounds[4];
    median_low := bounds[5];
    median_high := bounds[6];
    p90 := bounds[7];
    p90_low := bounds[8];
    p90_high := bounds[9];
    variance := reporting.outcomes_variance(week, n, hit, base_n, base_hit);
    differs := coalesce(
        abs(p_up - base_p_up)
        > reporting.outcomes_t(0.99, greatest(blocks_eff - 1, 1)) * sqrt(variance),
        false
    );
end
$function$;

comment on function reporting.outcomes(jsonb, integer, timestamptz, text[]) is
'What followed 1, 4, 24 or 72 hours after the hours in which a condition on fields of reporting.askable held, '
'beside all hours that could be judged, by what was known at as_of. Returns are logarithms. With reason the '
'history is silent and the numbers are null.';
