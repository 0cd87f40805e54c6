//go:build duckdb_arrow

package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	dd "github.com/duckdb/duckdb-go/v2"
)

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	c, err := dd.NewConnector("", nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	ex := func(q string, args ...any) {
		if _, err := db.ExecContext(ctx, q, args...); err != nil {
			fmt.Println("ERR", q, err)
		}
	}
	out := t.TempDir()
	ex("SET memory_limit='300MB'")
	ex("SET temp_directory='" + dir + "'")
	ex("COPY (select i a, i*1.5 b, 'x'||i c from range(2000000) t(i)) TO '" + dir + "/f.parquet'")
	ex(fmt.Sprintf("SET allowed_directories=['%s','%s']", dir, out))
	ex("SET enable_external_access=false")
	ex("SET lock_configuration=true")
	for _, q := range []string{"SET threads=1", "select count(*) from '/etc/passwd'", "select * from read_csv('/etc/passwd')", "CREATE TEMP VIEW v AS SELECT * FROM read_parquet(['" + dir + "/f.parquet'])", "INSTALL httpfs", "ATTACH '/tmp/x.db'", "COPY (select 1) TO '/tmp/zz.csv'", "COPY (select 1) TO '" + out + "/zz.csv'"} {
		_, err := db.ExecContext(ctx, q)
		fmt.Println(q, "=>", err)
	}
	for _, q := range []string{"select a, t.b from v@1 as t where a > ? -- hi", "select * from x at (version => 3)", "with z as (select 1) select * from z, range(3), s.t", "describe select 1", "summarize v", "show tables", "pivot v on c using sum(a)", "create table x(a int)", "select 1; select 2", "selec 1", "from v select a limit 3", "explain select 1", "select * from 'x.csv'", "insert into v values (1)", "select * from v where a = $1 order by 2 limit 3", "values (1),(2)"} {
		var s any
		err := db.QueryRowContext(ctx, "select json_serialize_sql(?::VARCHAR)", q).Scan(&s)
		fmt.Println(q, "=>", err)
		str := fmt.Sprint(s)
		if len(str) > 700 {
			str = str[:700]
		}
		fmt.Println("   ", str)
		var d any
		err = db.QueryRowContext(ctx, "select json_deserialize_sql(json_serialize_sql(?::VARCHAR))", q).Scan(&d)
		fmt.Println("   ", d, err)
	}
	conn, _ := db.Conn(ctx)
	return
	for i := range 5 {
		st := time.Now()
		p := fmt.Sprintf("%s/q%d.parquet", out, i)
		_, err := conn.ExecContext(ctx, "COPY (SELECT CAST(c0 AS BIGINT) AS x, c1::VARCHAR as y FROM (select a, c from (select a,c from read_parquet(['"+dir+"/f.parquet']) where a > ? order by a desc limit 10)) AS q(c0,c1)) TO '"+p+"' (FORMAT parquet, COMPRESSION uncompressed)", 5)
		fmt.Println("copy", time.Since(st), err)
		b, _ := os.ReadFile(p)
		fmt.Println(len(b))
	}
	st := time.Now()
	_, err = conn.ExecContext(ctx, "COPY (SELECT a,b,c from v order by a desc) TO '"+out+"/big.parquet' (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE 65536)")
	fmt.Println("copy big", time.Since(st), err)
	st = time.Now()
	rows, err := conn.QueryContext(ctx, "SELECT a,b,c from v")
	n := 0
	var a, b, cc any
	for rows.Next() {
		rows.Scan(&a, &b, &cc)
		if n == 0 {
			fmt.Println("first row", time.Since(st))
		}
		n++
	}
	fmt.Println("rows", n, time.Since(st), err)
	for i := range 3 {
		st = time.Now()
		conn.Raw(func(dc any) error {
			ar, err := dd.NewArrowFromConn(dc.(*dd.Conn))
			if err != nil {
				return err
			}
			q := "SELECT a,b,c from v limit 10"
			if i == 2 {
				q = "select a,b,c from v"
			}
			r, err := ar.QueryContext(ctx, q)
			if err != nil {
				fmt.Println(err)
				return err
			}
			n := int64(0)
			for r.Next() {
				n += r.RecordBatch().NumRows()
			}
			fmt.Println("arrow", n, r.Schema(), r.Err())
			return nil
		})
		fmt.Println(time.Since(st))
	}
	st = time.Now()
	c2, _ := dd.NewConnector("", nil)
	db2 := sql.OpenDB(c2)
	db2.Ping()
	fmt.Println("open", time.Since(st))
	time.Sleep(0)
}
