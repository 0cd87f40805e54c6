"""Writes duckdb.tsv: what DuckDB says of expressions that mean the same there.

    pip install duckdb==1.5.5 && python golden.py > duckdb.tsv

Each line has an expression of Leat, a tab, and DuckDB's value. Where the two
languages spell things differently, the expression is translated here; an
error of DuckDB's counts as NULL (that is what TRY does). What is meant to
differ stands in the Go test, not here.
"""
import re
import duckdb

TYPES = {"int": "BIGINT", "double": "DOUBLE", "string": "VARCHAR", "bool": "BOOLEAN"}
NAMES = {"log(": "ln(", "dayofweek(": "isodow(", "regexp_match(": "regexp_matches(", "cast(": "try_cast("}

CASES = r"""
1 + 2 * 3
(1 + 2) * 3
7 / 2
-7 / 2
7 % 3
-7 % 3
7 % -3
7.5 % 2
-7.5 % 2
1 / 0
0 / 0
1 % 0
1.5 / 0
1.5 % 0.0
9223372036854775807 + 1
9223372036854775807 + 0
-9223372036854775807 - 2
9223372036854775807 * 2
3037000500 * 3037000500
3037000499 * 3037000499
0.1 + 0.2
1e308 * 10
1 + null
null * 2
- 5
- - 5
2 - -3
1 = 1
1 = 1.0
1 <> 2
1 != 1
2 < 10
'2' < '10'
'a' < 'B'
'a' || 'b'
'a' || null
'Z' < 'a'
'é' > 'z'
true and null
false and null
null and null
true or null
false or null
not null
not true
not true or true
not 1 = 2
true = false
true > false
1 between 1 and 3
3 between 1 and 2
2 not between 1 and 3
null between 1 and 3
2 between null and 1
2 between null and 3
2 not between null and 1
1 in (1, 2)
3 in (1, 2)
3 in (1, null)
1 in (1, null)
null in (1, 2)
3 not in (1, 2)
3 not in (1, null)
'b' in ('a', 'b')
1.0 in (1, 2)
null is null
1 is null
1 is not null
'hello' like 'h%'
'hello' like '%l%'
'hello' like '_ello'
'hello' like 'h_o'
'hello' like 'h%o'
'hello' like '%'
'' like '%'
'' like '_'
'hello' like 'HELLO'
'hello' not like 'h%'
'mississippi' like '%iss%pi'
'mississippi' like '%iss%ppi%i'
'héllo' like 'h_llo'
'日本語' like '__語'
null like 'a'
case when true then 1 else 2 end
case when null then 1 else 2 end
case when false then 1 end
case 2 when 1 then 'a' when 2 then 'b' else 'c' end
case null when null then 1 else 2 end
case when true then 1 else 2.5 end
if(true, 1, 2)
if(null, 1, 2)
coalesce(null, 2, 3)
coalesce(null, null)
nullif(1, 1)
nullif(1, 2)
nullif(null, 2)
nullif(1, null)
least(3, 1, 2)
greatest(3, 1, 2)
least(3, null, 2)
greatest(null, 2)
greatest('a', 'b')
least(1, 0.5)
abs(-5)
abs(-5.5)
abs(-9223372036854775807 - 1)
log(0.0)
log(-1.0)
log(10.0)
ln(2.0)
log10(1000.0)
log2(8.0)
exp(1.0)
exp(0.0)
exp(-745.2)
sqrt(2.0)
sqrt(-1.0)
power(2, 10)
power(2.0, 0.5)
power(-8.0, 0.333)
power(0.0, 0.0)
floor(2.7)
floor(-2.7)
ceil(2.1)
ceil(-2.1)
round(2.5)
round(-2.5)
round(3.5)
round(0.49999999999999994)
round(2.345, 2)
round(1234.567, -2)
round(1.005, 2)
round(1250, -2)
round(-1250, -2)
round(1e300, 20)
sign(-3)
sign(2.5)
lower('ÄÖÜ Hello')
upper('äöü hello')
length('hello')
length('日本語')
length('')
substr('hello', 2)
substr('hello', 2, 3)
substr('hello', 0)
substr('hello', 0, 2)
substr('hello', -3)
substr('hello', -3, 2)
substr('hello', -7, 4)
substr('hello', -1, 1)
substr('hello', 4, 10)
substr('hello', 10, 2)
substr('hello', 2, 0)
substr('hello', 3, -2)
substr('hello', 3, -10)
substr('hello', -2, -2)
substr('日本語テキスト', 2, 3)
substr('日本語', -2)
trim('  a b  ')
starts_with('hello', 'he')
starts_with('hello', '')
ends_with('hello', 'lo')
contains('hello', 'ell')
contains('hello', '')
contains('hello', 'x')
regexp_match('hello', 'l+o$')
regexp_match('hello', '^l')
regexp_match('a1b2', '[0-9]b')
regexp_extract('hello', 'l+')
regexp_extract('hello', 'x')
regexp_extract('GET /a/b HTTP/1.1', '^([A-Z]+) ([^ ]+)', 2)
regexp_extract('a=1', '(b)?a=([0-9])', 1)
strptime('2015-05-17 10:05:03', '%Y-%m-%d %H:%M:%S')
strptime('17/May/2015:10:05:03', '%d/%b/%Y:%H:%M:%S')
strptime('1/2/2024', '%d/%m/%Y')
strptime('2023-02-29', '%Y-%m-%d')
strptime('Sunday, 17 may 2015 11:05 PM', '%A, %d %B %Y %I:%M %p')
strptime('12:30 am 2024-01-01', '%I:%M %p %Y-%m-%d')
strptime('2024-01-01 00:00:00.25', '%Y-%m-%d %H:%M:%S.%f')
strptime('2024-01-01 00:00:00.25x', '%Y-%m-%d %H:%M:%S.%f')
strptime('100%', '%Y%%')
second(timestamp '2024-02-29 23:59:58.75')
minute(timestamp '2024-02-29 23:59:58')
hour(timestamp '2024-02-29 23:59:58')
hour(timestamp '1969-12-31 23:59:58')
day(timestamp '2024-02-29 23:59:58')
day(date '1900-03-01')
month(date '1969-12-31')
year(timestamp '1969-12-31 23:59:59.999999')
year(date '0001-01-01')
dayofweek(date '1970-01-01')
dayofweek(date '2024-02-25')
dayofweek(date '2024-02-26')
dayofweek(date '1969-12-28')
dayofyear(date '2024-12-31')
dayofyear(date '2023-12-31')
epoch(timestamp '2024-02-29 23:59:58.75')
epoch(date '2024-02-29')
epoch(timestamp '1969-12-31 23:59:59.5')
date_diff('hour', timestamp '2024-01-01 10:59:59', timestamp '2024-01-01 11:00:01')
date_diff('hour', timestamp '1969-12-31 22:59:59', timestamp '1970-01-01 01:00:01')
date_diff('day', date '2024-02-28', date '2024-03-01')
date_diff('day', timestamp '1969-12-31 23:59:59', timestamp '1970-01-01 00:00:01')
date_diff('minute', timestamp '2024-01-01 10:59:59', timestamp '2024-01-01 11:00:00')
date_diff('second', timestamp '2024-01-01 10:59:59.9', timestamp '2024-01-01 11:00:00.1')
date_diff('week', date '2024-02-26', date '2024-03-03')
date_diff('month', date '2024-01-31', date '2024-02-01')
date_diff('quarter', date '2024-03-31', date '2024-04-01')
date_diff('year', date '2023-12-31', date '2024-01-01')
date_diff('year', date '2024-01-01', date '2023-12-31')
date_diff('day', null, date '2024-01-01')
date '2024-02-28' + cast(2 as int)
date '2024-03-01' - cast(1 as int)
date '2024-03-01' - date '2024-02-01'
date '2024-03-01' < timestamp '2024-03-01 00:00:01'
timestamp '2024-03-01 10:00:00' >= '2024-03-01'
timestamp '2024-03-01T10:00:00Z' = timestamp '2024-03-01 10:00:00'
cast(2.5 as int)
cast(3.5 as int)
cast(-2.5 as int)
cast(1e19 as int)
cast('12' as int)
cast(' 12 ' as int)
cast('-12' as int)
cast('2.5' as int)
cast('3.5' as int)
cast('1e3' as int)
cast('abc' as int)
cast('' as int)
cast('9223372036854775808' as int)
cast('1.5' as double)
cast('abc' as double)
cast(1 as double)
cast(1.0 as string)
cast(0.1 as string)
cast(1e20 as string)
cast(1e15 as string)
cast(1e16 as string)
cast(123456789.125 as string)
cast(0.0001 as string)
cast(0.00001 as string)
cast(-0.5 as string)
cast(12 as string)
cast(true as string)
cast(1 as bool)
cast(0 as bool)
cast(0.5 as bool)
cast(true as int)
cast(true as double)
cast('true' as bool)
cast('T' as bool)
cast('no' as bool)
cast('yes' as bool)
cast('1' as bool)
cast('x' as bool)
cast('2024-02-29' as date)
cast('2023-02-29' as date)
cast('2024-2-9' as date)
cast(' 2024-02-09 ' as date)
cast('2024-02-29 10:20' as timestamp)
cast('2024-02-29 10:20:30' as timestamp)
cast('2024-02-29T10:20:30.5' as timestamp)
cast('2024-02-29 10:20:30.1234567' as timestamp)
cast('2024-02-29 25:00:00' as timestamp)
cast('2024-02-29 10:20:30Z' as timestamp)
cast('2024-02-29' as timestamp)
cast('nonsense' as timestamp)
cast(timestamp '2024-02-29 10:20:30' as date)
cast(timestamp '1969-12-31 10:20:30' as date)
cast(date '2024-02-29' as timestamp)
cast(date '2024-02-29' as string)
cast(timestamp '2024-02-29 10:20:30' as string)
cast(timestamp '2024-02-29 10:20:30.5' as string)
cast(timestamp '2024-02-29 10:20:30.123456' as string)
""".strip().splitlines()


def translate(expr):
    """Spells an expression of Leat as DuckDB does, string literals untouched."""
    parts = re.split(r"('(?:[^']|'')*')", expr)
    days = re.search(r"^date '[-0-9]+' [-+] cast", expr) is not None
    for i in range(0, len(parts), 2):
        p = re.sub(r"(?<![\w.])(\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)", r"(\1)::DOUBLE", parts[i])
        p = re.sub(r"(?<![\w.:(])(\d+)(?![\w.)])|(?<=\()(\d+)(?![\w.]|\)::)", lambda m: (m.group(1) or m.group(2)) + "::BIGINT", p)
        for leat, duck in NAMES.items():
            p = re.sub(r"(?<![\w_])" + re.escape(leat), duck, p)
        p = re.sub(r" as (int|double|string|bool)\)", lambda m: " as " + ("INTEGER" if days else TYPES[m.group(1)]) + ")", p)
        parts[i] = p
    return "".join(parts)


def show(value, kind):
    if value is None or value != value:  # Leat has no NaN
        return "null"
    if kind in ("DOUBLE", "FLOAT"):
        return repr(float(value))
    if kind == "BOOLEAN":
        return "true" if value else "false"
    if kind == "TIMESTAMP" and value.microsecond:
        return f"'{str(value).rstrip('0')}'"
    if kind in ("VARCHAR", "DATE", "TIMESTAMP"):
        return "'" + str(value).replace("'", "''") + "'"
    return str(value)


db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
db.execute("SET ieee_floating_point_ops = false")  # a division by zero is NULL
for case in CASES:
    sql = translate(case)
    # A column keeps DuckDB from folding the expression before TRY sees it.
    try:
        kind = db.execute(f"SELECT typeof({sql}) FROM range(1)").fetchone()[0]
    except duckdb.Error:
        kind = ""
    value = db.execute(f"SELECT TRY({sql}) FROM range(1)").fetchone()[0]
    print(f"{case}\t{show(value, kind)}")
