package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/session"
)

// crowd inserts rows for sessions of one person, and their keys in Redis.
func (w *world) crowd(many int, ended bool) {
	w.t.Helper()
	endedMS, how := "NULL", "NULL"
	if ended {
		endedMS, how = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint", "'operator'"
	}
	const atOnce = 100_000
	for from := 0; from < many; from += atOnce {
		to := min(many, from+atOnce)
		_, err := w.db.SQL().Exec(fmt.Sprintf(`
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, ended_ms, ended_how)
SELECT substr(md5(n::text), 1, 8) || lpad(n::text, 8, '0'), $1, lpad(n::text, 43, '0'), $2, '192.0.2.7', FALSE, 1, 9000000000000, %s, %s
FROM generate_series($3::bigint, $4::bigint) AS n`, endedMS, how), w.ada.ID, laptop.UserAgent, from, to-1)
		require.NoError(w.t, err)
	}
	if _, err := w.db.SQL().Exec(`ANALYZE devices`); err != nil {
		w.t.Fatal(err)
	}
	const fill = `for i = ARGV[1], ARGV[2] do redis.call('SET', string.format('holdfast:session:%043d', i), ARGV[3], 'PX', 3600000) end`
	record := fmt.Sprintf("%0300d", 0)
	for from := 0; from < many; from += 50_000 {
		w.must("EVAL", fill, 0, from, min(many, from+50_000)-1, record)
	}
}

func onCampaign(t *testing.T) *world {
	t.Helper()
	campaign.Only(t)
	return on(t, func(w *world) {
		onPrivateRedis(w)
		w.db = testkit.OpenDatabase(t, testkit.Postgres(t))
	})
}

// load returns the machine's load average.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return string(text[:len("0.00 0.00 0.00")])
}

func TestCampaignEndsMillionsAgainAtThreeServers(t *testing.T) {
	for many, limit := range map[int]time.Duration{1_000_000: 3 * time.Second, 10_000_000: time.Minute} {
		t.Run(strconv.Itoa(many), func(t *testing.T) {
			w := onCampaign(t)
			soonAnswers := func(cfg *config) { cfg.store.Timeout = time.Second }
			managers := []*session.Manager{w.open(soonAnswers), w.open(soonAnswers), w.open(soonAnswers)}
			w.crowd(many, true)
			_, marks := w.beat()
			before := load()
			began := time.Now()
			w.must("DEL", append(marks, "holdfast:beat")...)
			for _, m := range managers {
				reported := 0
				testkit.Eventually(t, 20*limit, "end them again", func() error {
					err := m.Ping(context.Background())
					var repair session.Repair
					if errors.As(err, &repair) && repair.Removed > reported {
						reported = repair.Removed
					}
					if keys, failed := w.redis.Do("EXISTS", fmt.Sprintf("holdfast:session:%043d", many-1)); failed != nil || keys != int64(0) {
						return errors.Join(failed, errors.New("not noticed yet"))
					}
					return err
				})
				t.Logf("trusted after %s, reported at %d", time.Since(began).Round(time.Millisecond), reported)
			}
			took := time.Since(began) - time.Second // until the older data is noticed
			t.Logf("%d ended again at three servers in %s; load %s before, %s after", many, took.Round(time.Millisecond), before, load())
			w.wantKeys(0)
			if took > limit {
				t.Errorf("took %s, the limit is %s", took, limit)
			}
		})
	}
}

func TestCampaignEndsAMillionSessionsOfEverybody(t *testing.T) {
	// It takes about 30 s on two cores. Anything that grows faster than linearly takes
	// longer.
	const many, limit = 1_000_000, 2 * time.Minute
	w := onCampaign(t)
	m := w.open()
	w.crowd(many, false)
	reported, before, began := 0, load(), time.Now()
	n, err := m.RevokeAll(context.Background(), session.RevokedByOperator, func(int) { reported++ })
	took := time.Since(began)
	t.Logf("%d ended in %s, reported %d times; load %s before, %s after", n, took.Round(time.Millisecond), reported, before, load())
	if n != many || err != nil || reported < 10 || took > limit {
		t.Errorf("ended %d, %v, reported %d times; the limit is %s", n, err, reported, limit)
	}
}
