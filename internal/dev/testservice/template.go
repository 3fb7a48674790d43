package testservice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// template is a filled database and its copies. To create and drop a copy takes
// 0.2 seconds of processor time, to clean one a hundredth of that.
type template struct {
	err     error // how filling it ended
	picture string
	empty   []string // its tables without rows
	unused  []string // names of clean copies
}

// copied returns a copy of the database that fill fills.
func (c *cluster) copied(t testing.TB, name string, fill func(url string) error) *PostgresServer {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.templates[name]
	if from == nil {
		from = &template{}
		from.err = c.fill(from, name, fill)
		if c.templates == nil {
			c.templates = map[string]*template{}
		}
		c.templates[name] = from
	}
	if from.err != nil {
		t.Fatalf("testservice: make the database that is copied: %v", from.err)
	}
	var one string
	if n := len(from.unused); n > 0 {
		one, from.unused = from.unused[n-1], from.unused[:n-1]
	} else {
		one = c.newName()
		if err := c.exec("CREATE DATABASE " + one + " TEMPLATE " + name); err != nil {
			t.Fatalf("testservice: copy database: %v", err)
		}
	}
	t.Cleanup(func() {
		if err := c.clean(from, one); err != nil {
			c.drop(t, one)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		from.unused = append(from.unused, one)
	})
	return &PostgresServer{URL: c.url(one), t: t, cluster: c}
}

func (c *cluster) fill(from *template, name string, fill func(url string) error) error {
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		return err
	}
	if err := fill(c.url(name)); err != nil {
		return err
	}
	return c.in(name, func(ctx context.Context, conn *pgx.Conn) (err error) {
		var tables []string
		if tables, from.picture, err = picture(ctx, conn); err != nil {
			return err
		}
		for _, table := range tables {
			var filled bool
			if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+")").Scan(&filled); err != nil {
				return err
			}
			if !filled {
				from.empty = append(from.empty, table)
			}
		}
		return nil
	})
}

var errChanged = errors.New("the copy is not like the original")

// clean makes a copy as it was. It returns an error for one that has to go.
func (c *cluster) clean(from *template, name string) error {
	return c.in(name, func(ctx context.Context, conn *pgx.Conn) error {
		// Deleting in any order, whatever refers to what.
		clean := []string{
			"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
			"SET session_replication_role = replica",
		}
		for _, table := range from.empty {
			clean = append(clean, "DELETE FROM "+table)
		}
		if _, err := conn.Exec(ctx, strings.Join(clean, ";")); err != nil {
			return err
		}
		_, now, err := picture(ctx, conn)
		if err == nil && now != from.picture {
			err = errChanged
		}
		return err
	})
}

// picture returns the tables of a database, and a text that differs when the
// schema, a setting of the database, the place of a sequence or a row does.
func picture(ctx context.Context, conn *pgx.Conn) (tables []string, text string, err error) {
	var catalog string
	// A changed row of a catalog has a new xmin; a dropped one is missing.
	err = conn.QueryRow(ctx, `
		SELECT concat_ws(' ',
				(SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_class),
				(SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_attribute),
				(SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_constraint),
				(SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_trigger),
				(SELECT concat(count(*), '-', max(xmin::text::bigint)) FROM pg_proc),
				(SELECT count(*) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()),
				(SELECT sum(last_value) FROM pg_sequences)),
			(SELECT array_agg(quote_ident(tablename) ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public')`).
		Scan(&catalog, &tables)
	if err != nil {
		return nil, "", err
	}
	parts := []string{"SELECT ''"}
	for _, table := range tables {
		parts = append(parts, fmt.Sprintf("SELECT '%[1]s ' || r::text FROM %[1]s r", table))
	}
	found, err := conn.Query(ctx, strings.Join(parts, " UNION ALL "))
	if err != nil {
		return nil, "", err
	}
	rows, err := pgx.CollectRows(found, pgx.RowTo[string])
	slices.Sort(rows)
	return tables, catalog + strings.Join(rows, "\n"), err
}

// in does something in a database.
func (c *cluster) in(database string, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(ctx, conn)
}
