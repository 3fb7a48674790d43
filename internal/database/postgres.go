package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"holdfast/internal/product"
)

// DefaultMaxConns is the most connections that one process holds to PostgreSQL
// if neither [Config] nor the URL (pool_max_conns) sets another number. It is also
// the default of DATABASE_POOL_SIZE. The number of instances times this must stay
// below the server's max_connections (100 by default).
const DefaultMaxConns = 16

// openPostgres opens a pool. A call waits for a connection, connects and runs within
// db.timeout. The server cancels by itself what the client has given up.
func openPostgres(ctx context.Context, c Config) (*DB, error) {
	conf, err := parsePostgres(c)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), conf)
	if err != nil {
		return nil, fmt.Errorf("create PostgreSQL pool: %w", err)
	}
	at := conf.ConnConfig
	db := &DB{
		dialect: postgresDialect(),
		sql:     stdlib.OpenDBFromPool(pool),
		name:    fmt.Sprintf("PostgreSQL at %s/%s", net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))), at.Database),
		timeout: c.Timeout,
		pool:    pool,
	}
	// The first query shows whether the database answers, and whether it counts and
	// stores text as the domain does.
	var encoding string
	err = db.scan(ctx, "connect", into{&encoding}, `SHOW server_encoding`)
	if err == nil && encoding != "UTF8" {
		err = fmt.Errorf("database encoding is %s; create the database with ENCODING 'UTF8'", encoding)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", db.name, err), db.Close())
	}
	return db, nil
}

func parsePostgres(c Config) (*pgxpool.Config, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		// The parser's error may quote part of the password.
		return nil, errors.New("open PostgreSQL: DATABASE_URL must have the form postgres://user:password@host:port/database; " +
			"percent-encode / ? # @ : % [ ] in the password")
	}
	conf, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		// Not wrapped: the error contains the whole URL.
		return nil, fmt.Errorf("open PostgreSQL: invalid DATABASE_URL: %s", withoutPassword(err.Error(), u))
	}
	if !u.Query().Has("pool_max_conns") {
		conf.MaxConns = int32(c.MaxConns)
	}
	if !u.Query().Has("connect_timeout") {
		conf.ConnConfig.ConnectTimeout = c.Timeout
	}
	for name, value := range map[string]string{
		"application_name":                    product.Slug,
		"statement_timeout":                   milliseconds(c.Timeout),
		"lock_timeout":                        milliseconds(c.Timeout / 2),
		"idle_in_transaction_session_timeout": milliseconds(2 * c.Timeout),
	} {
		if _, set := conf.ConnConfig.RuntimeParams[name]; !set {
			conf.ConnConfig.RuntimeParams[name] = value
		}
	}
	// The isolation level that the statements were written for, whatever the database's
	// default.
	conf.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	return conf, nil
}

func withoutPassword(text string, u *url.URL) string {
	password, _ := u.User.Password()
	escaped := strings.TrimPrefix(url.UserPassword("", password).String(), ":")
	for _, secret := range []string{u.Query().Get("password"), u.Query().Get("sslpassword"), password, escaped} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return text
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 1), 10) }
