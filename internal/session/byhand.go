package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ByHand says how a stored session can be looked at past this server: lines
// for a POSIX shell, without any password, that print what they name. Where
// there is no such line, it is "".
type ByHand struct {
	Name string // what the store calls the session
	Read string // prints the stored bytes
	Size string // prints how many they are
	Left string // prints how many seconds the store will keep them
	Drop string // removes the session
	Why  string // what there is to know about it, in a sentence; or ""
}

// ByHand returns the lines for the session with this key, as a trace names it.
func (m *Manager) ByHand(key string) ByHand { return m.place.byHand(key) }

// placeOf finds out where the store is that openCells has opened.
func placeOf(ctx context.Context, c cells, cfg Config, words string) (place, error) {
	if locked, ok := c.(*lockedCells); ok {
		if embedded, ok := locked.store.(embeddedStore); ok {
			return atSocket(embedded.socket, words)
		}
	}
	switch {
	case cfg.Store == StoreRedis:
		return atServer(cfg.RedisURL, words)
	case cfg.Store == StoreDatabase && cfg.Postgres != nil:
		return atPostgres(cfg.Postgres, words), nil
	case cfg.Store == StoreDatabase:
		return atSQLite(ctx, cfg.SQLite, words)
	case cfg.Store == StoreFile:
		return outOfReach(words, "This server holds the file as long as it runs, so nothing else can look into it."), nil
	default:
		return outOfReach(words, "There is no looking at it from outside. It is in the memory of this process, and goes when the process does: that is why a restart logs everybody out here."), nil
	}
}

// place is where a store is, for people.
type place struct {
	words  string
	byHand func(key string) ByHand
}

// serverName is what a trace calls the Redis behind a URL.
func serverName(redisURL string) string {
	if redisURL == "" {
		return "embedded Redis"
	}
	return "Redis"
}

// atRedis is a place that this redis-cli line leads to.
func atRedis(words, cli, why string) place {
	return place{words, func(key string) ByHand {
		name := shell(keyPrefix + key)
		return ByHand{
			Name: keyPrefix + key,
			Read: cli + " GET " + name,
			Size: cli + " STRLEN " + name,
			Left: cli + " TTL " + name,
			Drop: cli + " DEL " + name,
			Why:  why,
		}
	}}
}

func atServer(redisURL, words string) (place, error) {
	u, err := url.Parse(redisURL)
	if err != nil {
		return place{}, errors.New("REDIS_URL cannot be read")
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	cli, why := "redis-cli", ""
	if u.Scheme == "rediss" {
		cli += " --tls"
	}
	cli += " -h " + shell(u.Hostname()) + " -p " + port
	if db := strings.Trim(u.Path, "/"); db != "" && db != "0" {
		cli += " -n " + shell(db)
	}
	if password, set := u.User.Password(); set && password != "" {
		if user := u.User.Username(); user != "" {
			cli += " --user " + shell(user)
		}
		cli, why = cli+" --askpass", "It asks for the password of this Redis."
	}
	return atRedis(words, cli, why), nil
}

func atSocket(socket, words string) (place, error) {
	socket, err := filepath.Abs(socket)
	if err != nil {
		return place{}, fmt.Errorf("find the socket of the embedded Redis: %w", err)
	}
	return atRedis(words, "redis-cli -s "+shell(socket), ""), nil
}

// outOfReach is a place that no line leads to.
func outOfReach(words, why string) place {
	return place{words, func(key string) ByHand { return ByHand{Name: key, Why: why} }}
}

// atTable is the table sessions, which this line runs SQL on. data is the
// expression for the record as text, and left the one for the seconds.
func atTable(words, sql, data, size, left, why string) place {
	line := func(expression, key string) string {
		// A key has letters, digits, - and _ only.
		return sql + " " + shell("SELECT "+expression+" FROM sessions WHERE token = '"+key+"'")
	}
	return place{words, func(key string) ByHand {
		drop := sql + " " + shell("DELETE FROM sessions WHERE token = '"+key+"'")
		return ByHand{Name: key, Read: line(data, key), Size: line(size, key), Left: line(left, key), Drop: drop, Why: why}
	}}
}

func atPostgres(pool *pgxpool.Pool, words string) place {
	at := pool.Config().ConnConfig
	line := fmt.Sprintf("psql -h %s -p %d -U %s -d %s -AXtqc", shell(at.Host), at.Port, shell(at.User), shell(at.Database))
	why := ""
	if at.Password != "" {
		why = "It asks for the password of this database."
	}
	return atTable(words, line,
		"convert_from(data, 'UTF8')", "length(data)", "ceil(extract(epoch FROM expiry - now()))", why)
}

func atSQLite(ctx context.Context, db *sql.DB, words string) (place, error) {
	var file string
	if err := db.QueryRowContext(ctx, `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&file); err != nil {
		return place{}, fmt.Errorf("find the file of the table sessions: %w", err)
	}
	return atTable(words, "sqlite3 "+shell(file),
		"CAST(data AS TEXT)", "length(data)", "CAST((expiry - julianday('now')) * 86400 AS INTEGER)", ""), nil
}

// shell quotes a word for a POSIX shell, where it needs that.
func shell(word string) string {
	plain := word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:", r))
	})
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Cookie describes this session's cookie as it was when it was set: all of it
// but its value, which is in the browser alone.
func (s *Session) Cookie() *http.Cookie {
	m := s.manager
	header := headerOnly{}
	if member, ok := s.Member(); ok && member.Remember {
		m.scs.RememberMe(s.ctx, true)
	}
	m.scs.WriteSessionCookie(s.ctx, header, "TOKEN", s.record.Deadline)
	cookie, err := http.ParseSetCookie(http.Header(header).Get("Set-Cookie"))
	if err != nil {
		return &http.Cookie{Name: m.CookieName()}
	}
	cookie.Value = ""
	if cookie.MaxAge > 0 {
		cookie.MaxAge = int(s.record.Deadline.Sub(s.record.Created).Seconds())
	}
	return cookie
}

// headerOnly takes what is written to a header and nothing else.
type headerOnly http.Header

func (h headerOnly) Header() http.Header       { return http.Header(h) }
func (headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (headerOnly) WriteHeader(int)             {}
