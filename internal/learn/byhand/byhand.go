// Package byhand builds the shell commands with which a person can look at a
// stored session without the server. It owns those commands for every store. It
// runs none of them, and none of them holds a password.
package byhand

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/redisurl"
	"holdfast/internal/session/store"
)

// Lines are POSIX shell commands for one stored session; "" where there is none.
type Lines struct {
	Name string // what the store calls the session
	Read string // prints the stored bytes
	List string // prints what the store calls each session, one a line
	Size string // prints how many they are
	Left string // prints in how many seconds the store drops them
	Drop string // deletes the session
	Why  string // what else to know, as a sentence; or ""
}

// Of returns the function that builds the commands for the session with a key.
func Of(ctx context.Context, cfg store.Config, opened *store.Opened) (func(key string) Lines, error) {
	switch {
	case opened.Embedded != nil && opened.Embedded.Socket() != "":
		return atRedis("redis-cli -s "+shell(opened.Embedded.Socket()), ""), nil
	case opened.Embedded != nil:
		return outOfReach("On this system the embedded Redis runs inside the server process, where redis-cli cannot reach it."), nil
	case cfg.Kind == store.KindRedis:
		return atServer(cfg.RedisURL)
	case cfg.Kind == store.KindDatabase && cfg.Postgres != nil:
		return atPostgres(cfg.Postgres), nil
	case cfg.Kind == store.KindDatabase:
		return atSQLite(ctx, cfg.SQLite)
	case cfg.Kind == store.KindFile:
		return outOfReach("This server locks the file while it runs, so nothing else can read it."), nil
	default:
		return outOfReach("You cannot see it from outside. It is in this process’s memory and disappears with it: that is why a restart logs everyone out here."), nil
	}
}

// Pretty formats a stored record for reading. It returns anything else unchanged.
func Pretty(stored []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, stored, "", "  "); err != nil {
		return string(stored)
	}
	return out.String()
}

// atRedis builds the commands for the Redis that cli connects to.
func atRedis(cli, why string) func(string) Lines {
	return func(key string) Lines {
		name := shell(store.Prefix + key)
		return Lines{
			Name: store.Prefix + key,
			Read: cli + " GET " + name,
			List: cli + " --scan --pattern " + shell(store.Prefix+"*"),
			Size: cli + " STRLEN " + name,
			Left: cli + " TTL " + name,
			Drop: cli + " DEL " + name,
			Why:  why,
		}
	}
}

func atServer(redisURL string) (func(string) Lines, error) {
	at, err := redisurl.Parse(redisURL)
	if err != nil {
		return nil, err
	}
	cli, why := "redis-cli -s "+shell(at.Socket), ""
	if at.Socket == "" {
		cli = "redis-cli -h " + shell(at.Hostname()) + " -p " + cmp.Or(at.Port(), "6379")
	}
	if at.Scheme == "rediss" {
		cli += " --tls"
	}
	if at.Database != "" {
		cli += " -n " + shell(at.Database)
	}
	if password, set := at.User.Password(); set && password != "" {
		if user := at.User.Username(); user != "" {
			cli += " --user " + shell(user)
		}
		cli, why = cli+" --askpass", "You will be asked for the Redis password."
	}
	return atRedis(cli, why), nil
}

// outOfReach is for a store that no command can reach.
func outOfReach(why string) func(string) Lines {
	return func(key string) Lines { return Lines{Name: key, Why: why} }
}

// atTable builds the commands for the table sessions, on which sql runs a
// statement. data is the expression for the record as text, left the one for the
// seconds.
func atTable(sql, data, size, left, why string) func(string) Lines {
	line := func(expression, key string) string {
		// A key has letters, digits, - and _ only.
		return sql + " " + shell("SELECT "+expression+" FROM sessions WHERE token = '"+key+"'")
	}
	return func(key string) Lines {
		drop := sql + " " + shell("DELETE FROM sessions WHERE token = '"+key+"'")
		list := sql + " " + shell("SELECT token FROM sessions")
		return Lines{Name: key, Read: line(data, key), List: list, Size: line(size, key), Left: line(left, key), Drop: drop, Why: why}
	}
}

func atPostgres(pool *pgxpool.Pool) func(string) Lines {
	at := pool.Config().ConnConfig
	line := fmt.Sprintf("psql -h %s -p %d -U %s -d %s -AXtqc", shell(at.Host), at.Port, shell(at.User), shell(at.Database))
	why := ""
	if at.Password != "" {
		why = "You will be asked for the database password."
	}
	return atTable(line,
		"convert_from(data, 'UTF8')", "length(data)", "ceil(extract(epoch FROM expiry - now()))", why)
}

func atSQLite(ctx context.Context, db *sql.DB) (func(string) Lines, error) {
	var file string
	if err := db.QueryRowContext(ctx, `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&file); err != nil {
		return nil, fmt.Errorf("find the database file of the sessions table: %w", err)
	}
	return atTable("sqlite3 "+shell(file),
		"CAST(data AS TEXT)", "length(data)", "CAST((expiry - julianday('now')) * 86400 AS INTEGER)", ""), nil
}

// shell quotes a word for a POSIX shell, if needed.
func shell(word string) string {
	plain := word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:", r))
	})
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
