package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
	"holdfast/internal/product"
	"holdfast/internal/visitor"
)

// town is a Holdfast on stores of its own, with one person who is looked at and
// any number of others who are logged in too.
type town struct {
	others   int
	redis    *testservice.RedisServer
	postgres *testservice.PostgresServer
	run      *launch.Server
	visitor  *visitor.Visitor
	loads    []load
}

const (
	fewOthers  = 1000
	ownDevices = 5 // of the person who is looked at
	// keyLength is that of a token's hash.
	keyLength = 43
)

// measureDevices finds out whether the page that lists a person's devices
// minds how many sessions others have.
func measureDevices(ctx context.Context, l *lab) (section, error) {
	var towns []*town
	for _, others := range []int{fewOthers, l.others} {
		t := &town{others: others}
		if err := t.found(ctx, l); err != nil {
			return section{}, err
		}
		towns = append(towns, t)
		l.say("  log in %d others", others)
		if err := t.populate(ctx); err != nil {
			return section{}, fmt.Errorf("log in %d others: %w", others, err)
		}
	}
	for round := range l.rounds + 1 {
		for turn := range towns {
			t := towns[(round+turn)%2]
			seen, err := l.wrk(ctx, page{server: t.run, redis: t.redis, path: "/devices", cookie: t.visitor.Cookie(), connections: l.connections})
			if err != nil {
				return section{}, err
			}
			if round > 0 {
				t.loads = append(t.loads, seen)
			}
			l.say("  round %d of %d: %7d others %6.0f per second", round, l.rounds, t.others, seen.perSecond)
		}
	}
	return devicesSection(l.options, towns[0], towns[1])
}

// found starts the stores and the server, and logs the person in.
func (t *town) found(ctx context.Context, l *lab) error {
	if err := l.bench.borrow(func(b testing.TB) {
		t.redis = testservice.PrivateRedis(b, "--loglevel", "warning")
		t.postgres = testservice.Postgres(b)
	}); err != nil {
		return err
	}
	var err error
	t.run, err = l.launch(ctx, l.binary, serveArgs(), serverSettings(t.redis.URL, "DATABASE_URL="+t.postgres.URL)...)
	if err != nil {
		return err
	}
	for device := range ownDevices {
		t.visitor = visitor.New(t.run.URL())
		enter := t.visitor.LogIn
		if device == 0 {
			enter = t.visitor.Register
		}
		if err := enter(ctx, ada()); err != nil {
			return err
		}
	}
	list, err := t.visitor.Get(ctx, "/devices")
	if err == nil && strings.Count(string(list.Body), `name="id"`) < ownDevices-1 {
		err = fmt.Errorf("not all devices on the page:\n%s", list.Body)
	}
	return err
}

// populate writes the others straight into the stores, as logins would have:
// each a person with one device, and a record just like the visitor's.
func (t *town) populate(ctx context.Context) error {
	db, err := pgx.Connect(ctx, t.postgres.URL)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	var person, device string
	const last = `SELECT person_id, id FROM devices ORDER BY created_ms DESC LIMIT 1`
	if err := db.QueryRow(ctx, last).Scan(&person, &device); err != nil {
		return err
	}
	for _, sql := range []string{`
INSERT INTO people (id, name, email, email_key, password_hash, created_ms)
SELECT lpad(n::text, $2, '0'), name, n || email, n || email_key, password_hash, created_ms
FROM people, generate_series(1, $1::int) n`, `
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms)
SELECT lpad(n::text, $3, '0'), lpad(n::text, $2, '0'), lpad(n::text, $4, '0'), user_agent, address, remembered, created_ms, deadline_ms
FROM (SELECT * FROM devices LIMIT 1) one, generate_series(1, $1::int) n`} {
		args := []any{t.others, len(person), len(device), keyLength}
		if _, err := db.Exec(ctx, sql, args[:strings.Count(sql, "$")]...); err != nil {
			return err
		}
	}
	if _, err := db.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	return t.fillRedis(person, device)
}

func (t *town) fillRedis(person, device string) error {
	record, err := redis.String(t.redis.Do("GET", visitor.Key(t.visitor.Token())))
	if err != nil {
		return err
	}
	if !strings.Contains(record, person) || !strings.Contains(record, device) {
		return fmt.Errorf("the visitor's record names neither person nor device: %s", record)
	}
	conn, err := redis.DialURL(t.redis.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	const atOnce = 1000
	lifetime := (24 * time.Hour).Milliseconds()
	for n := 1; n <= t.others; n++ {
		theirs := strings.NewReplacer(person, digits(n, len(person)), device, digits(n, len(device))).Replace(record)
		if err := conn.Send("SET", otherKey(n), theirs, "PX", lifetime); err != nil {
			return err
		}
		if n%atOnce == 0 || n == t.others {
			if _, err := conn.Do(""); err != nil { // sends what waits and takes all replies
				return err
			}
		}
	}
	return nil
}

func digits(n, length int) string { return fmt.Sprintf("%0*d", length, n) }

func otherKey(n int) string { return product.SessionKeys + digits(n, keyLength) }

func devicesSection(o options, few, many *town) (section, error) {
	each, err := redis.Int64(many.redis.Do("MEMORY", "USAGE", otherKey(many.others/2), "SAMPLES", 0))
	if err != nil {
		return section{}, err
	}
	info, err := redis.String(many.redis.Do("INFO", "memory"))
	if err != nil {
		return section{}, err
	}
	var used int64
	if _, err := fmt.Sscan(lineAfter(info, "used_memory:"), &used); err != nil {
		return section{}, err
	}
	cost := table{head: []string{"other sessions", "time per page / time with few", "range", "median latency", "CPU time per page"}}
	for _, t := range []*town{few, many} {
		slower := spreadOf(ratios(figures(few.loads, load.rate), figures(t.loads, load.rate)))
		cost.row(fmt.Sprint(t.others), fmt.Sprintf("**%.2f**", slower.median), fmt.Sprintf("%.2f to %.2f", slower.least, slower.most),
			milliseconds(spreadOf(figures(t.loads, load.wait)).median),
			microseconds(spreadOf(figures(t.loads, load.serverCPU)).median))
	}
	memory := table{head: []string{"Redis memory per session", "bytes"}}
	memory.row("MEMORY USAGE of one key", fmt.Sprintf("**%d**", each))
	memory.row("used_memory divided by the number of sessions", fmt.Sprint(used/int64(many.others)))
	return section{
		title: "The device list with many sessions",
		text: fmt.Sprintf("`/devices` for a user with %d sessions, on Redis and PostgreSQL, with other users logged in: "+
			"%d rounds of %s over %d keep-alive connections, alternating between the two servers.", ownDevices, o.rounds, o.length, o.connections),
		tables: []table{cost, memory},
	}, nil
}
