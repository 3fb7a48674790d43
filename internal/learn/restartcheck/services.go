package restartcheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/product"
	"holdfast/internal/redisurl"
	"holdfast/internal/sqlitefile"
	"holdfast/internal/visitor"
)

const (
	redisLimit = 10 * time.Second // one call to Redis
	batch      = 500              // keys deleted at a time
)

// withRedis calls use with a connection to the Redis at an address.
func withRedis(ctx context.Context, at string, use func(redis.Conn) error) error {
	address, err := redisurl.Parse(at)
	if err != nil {
		return err
	}
	conn, err := address.Dial(ctx, redis.DialConnectTimeout(redisLimit),
		redis.DialReadTimeout(redisLimit), redis.DialWriteTimeout(redisLimit))
	if err != nil {
		return fmt.Errorf("connect to Redis: %w", err)
	}
	defer conn.Close()
	return use(conn)
}

// usedMemory returns how many bytes Redis says it has allocated. If others use the
// same Redis, their data is included.
func usedMemory(ctx context.Context, at string) (used int64, err error) {
	err = withRedis(ctx, at, func(conn redis.Conn) error {
		info, err := redis.String(redis.DoContext(conn, ctx, "INFO", "memory"))
		if err != nil {
			return fmt.Errorf("read Redis memory: %w", err)
		}
		for line := range strings.Lines(info) {
			if said, found := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); found {
				used, err = strconv.ParseInt(said, 10, 64)
				return err
			}
		}
		return errors.New("read Redis memory: not reported")
	})
	return used, err
}

// hasHeartbeat reports whether this Redis holds the heartbeat of other servers.
func hasHeartbeat(ctx context.Context, at string) (found bool, err error) {
	err = withRedis(ctx, at, func(conn redis.Conn) error {
		found, err = redis.Bool(redis.DoContext(conn, ctx, "EXISTS", product.Heartbeat))
		return err
	})
	return found, err
}

// heartbeatKeys returns the keys of the heartbeat and of the servers' leases.
func heartbeatKeys(ctx context.Context, conn redis.Conn) (keys []string, err error) {
	for cursor := ""; cursor != "0"; {
		reply, err := redis.Values(redis.DoContext(conn, ctx, "SCAN", cmp.Or(cursor, "0"), "MATCH", product.Heartbeat+"*", "COUNT", batch))
		if err != nil {
			return nil, err
		}
		var found []string
		if _, err = redis.Scan(reply, &cursor, &found); err != nil {
			return nil, err
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

// removeSessions deletes the sessions of tokens, and, if beat, the heartbeat: it must
// stay if other servers use it.
func removeSessions(ctx context.Context, at string, tokens []string, beat bool) error {
	err := withRedis(ctx, at, func(conn redis.Conn) (err error) {
		var keys []string
		if beat {
			if keys, err = heartbeatKeys(ctx, conn); err != nil {
				return err
			}
		}
		for _, token := range tokens {
			keys = append(keys, visitor.Key(token))
		}
		for some := range slices.Chunk(keys, batch) {
			for _, key := range some { // one key per command, as a cluster requires
				if err := conn.Send("DEL", key); err != nil {
					return err
				}
			}
			if _, err := redis.DoContext(conn, ctx, ""); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove sessions from Redis: %w", err)
	}
	return nil
}

// schema is a schema of a PostgreSQL database, with everything that the servers
// store in that database.
type schema struct {
	name string
	url  string // of the database, with the schema as its search_path
	conf *pgx.ConnConfig
}

// openSchema returns the schema of this name, which need not exist.
func openSchema(database, name string) (*schema, error) {
	pool, err := pgxpool.ParseConfig(database)
	at, errURL := url.Parse(database)
	if err != nil || errURL != nil {
		// The parsers' errors may quote the password.
		return nil, errors.New("invalid DATABASE_URL")
	}
	query := at.Query()
	query.Set("search_path", name)
	at.RawQuery = query.Encode()
	return &schema{name: name, url: at.String(), conf: pool.ConnConfig}, nil
}

func (s *schema) create(ctx context.Context) error {
	return s.query(ctx, "CREATE SCHEMA "+s.name)
}

// size returns the size of the table of sessions and its indexes, in bytes. It first
// rewrites the table: what deleted rows and autovacuum add differs from run to run.
func (s *schema) size(ctx context.Context) (size int64, err error) {
	table := s.name + ".sessions"
	if err := s.query(ctx, "VACUUM FULL "+table); err != nil {
		return 0, err
	}
	err = s.query(ctx, "SELECT pg_total_relation_size('"+table+"')", &size)
	return size, err
}

func (s *schema) drop(ctx context.Context) error {
	return s.query(ctx, "DROP SCHEMA IF EXISTS "+s.name+" CASCADE")
}

// query runs one statement on its own connection and, if into is given, reads one
// row into it.
func (s *schema) query(ctx context.Context, statement string, into ...any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanLimit)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, s.conf)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if len(into) > 0 {
		return conn.QueryRow(ctx, statement).Scan(into...)
	}
	_, err = conn.Exec(ctx, statement)
	return err
}

// folderSize returns the size of the files in a directory, in bytes. It first writes
// the log of every SQLite file back to the file.
func folderSize(ctx context.Context, folder string) (int64, error) {
	var size int64
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".db" {
			err = checkpoint(ctx, path)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", folder, err)
	}
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

func checkpoint(ctx context.Context, path string) (err error) {
	db, err := sqlitefile.Open(path, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}
