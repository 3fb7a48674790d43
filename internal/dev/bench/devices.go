package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/product"
	"holdfast/internal/visitor"
)

const (
	fewOthers  = 1000
	ownDevices = 5 // of the person being measured
	// keyLength is the length of a token's hash.
	keyLength = 43
)

// measureDevices measures whether other people's sessions slow down the page that lists
// a person's devices.
func measureDevices(l *lab) section {
	few, many := l.startTown(fewOthers), l.startTown(l.others)
	l.race([]*contender{few, many})
	return devicesSection(l, few, many)
}

// startTown starts Holdfast on separate stores, with one person to measure and a number
// of others who are logged in too.
func (l *lab) startTown(others int) *contender {
	postgres := testservice.Postgres(l)
	c := &contender{name: fmt.Sprint(others), path: "/devices", redis: testservice.PrivateRedis(l, "--loglevel", "warning")}
	l.start(c, l.binary, serveArgs(), serverSettings(c.redis.URL, "DATABASE_URL="+postgres.URL)...)
	require.NoError(l, c.visitor.Register(l.ctx, ada()))
	for range ownDevices - 1 {
		c.visitor = visitor.New(c.run.URL())
		require.NoError(l, c.visitor.LogIn(l.ctx, ada()))
	}
	l.entered(c)
	list, err := c.visitor.Get(l.ctx, "/devices")
	require.NoError(l, err)
	if strings.Count(string(list.Body), `name="id"`) < ownDevices-1 {
		l.Fatalf("not all devices on the page:\n%s", list.Body)
	}
	l.say("  log in %d others", others)
	person, device := l.populate(postgres.URL, others)
	l.fillRedis(c, others, person, device)
	return c
}

// populate writes the others directly into the database, as logins would: each is a
// person with one device. It returns the IDs of the person being measured and of their
// device.
func (l *lab) populate(postgresURL string, others int) (person, device string) {
	db, err := pgx.Connect(l.ctx, postgresURL)
	require.NoError(l, err)
	defer db.Close(l.ctx)
	const last = `SELECT person_id, id FROM devices ORDER BY created_ms DESC LIMIT 1`
	require.NoError(l, db.QueryRow(l.ctx, last).Scan(&person, &device))
	for _, sql := range []string{`
INSERT INTO people (id, name, email, email_key, password_hash, created_ms)
SELECT lpad(n::text, $2, '0'), name, n || email, n || email_key, password_hash, created_ms
FROM people, generate_series(1, $1::int) n`, `
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms)
SELECT lpad(n::text, $3, '0'), lpad(n::text, $2, '0'), lpad(n::text, $4, '0'), user_agent, address, remembered, created_ms, deadline_ms
FROM (SELECT * FROM devices LIMIT 1) one, generate_series(1, $1::int) n`, `
VACUUM ANALYZE`} {
		args := []any{others, len(person), len(device), keyLength}
		_, err := db.Exec(l.ctx, sql, args[:strings.Count(sql, "$")]...)
		require.NoError(l, err)
	}
	return person, device
}

// fillRedis writes a record like the visitor's for each of the others.
func (l *lab) fillRedis(c *contender, others int, person, device string) {
	record, err := redis.String(c.redis.Do("GET", visitor.Key(c.visitor.Token())))
	require.NoError(l, err)
	if !strings.Contains(record, person) || !strings.Contains(record, device) {
		l.Fatalf("the visitor's record names neither person nor device: %s", record)
	}
	conn, err := redis.DialURL(c.redis.URL)
	require.NoError(l, err)
	defer conn.Close()
	const atOnce = 1000
	lifetime := (24 * time.Hour).Milliseconds()
	for n := 1; n <= others; n++ {
		theirs := strings.NewReplacer(person, digits(n, len(person)), device, digits(n, len(device))).Replace(record)
		require.NoError(l, conn.Send("SET", otherKey(n), theirs, "PX", lifetime))
		if n%atOnce == 0 || n == others {
			_, err := conn.Do("") // sends what is buffered and reads all replies
			require.NoError(l, err)
		}
	}
}

func digits(n, length int) string { return fmt.Sprintf("%0*d", length, n) }

func otherKey(n int) string { return product.SessionKeys + digits(n, keyLength) }

func devicesSection(l *lab, few, many *contender) section {
	each, err := redis.Int64(many.redis.Do("MEMORY", "USAGE", otherKey(l.others/2), "SAMPLES", 0))
	require.NoError(l, err)
	info, err := redis.String(many.redis.Do("INFO", "memory"))
	require.NoError(l, err)
	var used int64
	_, err = fmt.Sscan(lineAfter(info, "used_memory:"), &used)
	require.NoError(l, err)
	cost := table{head: []string{"other sessions", "time per page / time with few", "range", "median latency", "CPU time per page"}}
	for _, c := range []*contender{few, many} {
		slower := compared(few.loads, c.loads, load.rate)
		cost.row(c.name, fmt.Sprintf("**%.2f**", slower.median), fmt.Sprintf("%.2f to %.2f", slower.least, slower.most),
			milliseconds(median(c.loads, load.wait)), microseconds(median(c.loads, load.serverCPU)))
	}
	memory := table{head: []string{"Redis memory per session", "bytes"}}
	memory.row("MEMORY USAGE of one key", fmt.Sprintf("**%d**", each))
	memory.row("used_memory divided by the number of sessions", fmt.Sprint(used/int64(l.others)))
	return section{
		title: "The device list with many sessions",
		text: fmt.Sprintf("`/devices` for a user with %d sessions, on Redis and PostgreSQL, with other users logged in: "+
			"%d rounds of %s over %d keep-alive connections, alternating between the two servers.", ownDevices, l.rounds, l.length, l.connections),
		tables: []table{cost, memory},
	}
}
