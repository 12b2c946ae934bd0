-- How many issues does a query select, and which of them come first? One pass: nothing but the
-- `limit` first is kept, in the order of `sort_key`.
SELECT
    count(*) AS filtered_count,
    arg_min(struct_pack({columns}), create_sort_key({sort_key}), {limit}) AS first
FROM issues
WHERE {where}
