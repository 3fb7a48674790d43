package database

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/session"
)

// places describes where the rows of devices are in the database's files, counted from
// 0. Reading them in this order is many times faster than by a key.
type places struct {
	end    string // statement for the first place after all rows
	within string // condition: the row is at $2 or later, and before $3
	step   int64  // places of some 10,000 rows
	at     func(place int64) any
}

func postgresPlaces() places {
	return places{
		end:    `SELECT pg_relation_size('devices') / current_setting('block_size')::bigint`,
		within: `ctid >= $2 AND ctid < $3`,
		step:   200, // blocks of some 50 rows
		at:     func(block int64) any { return fmt.Sprintf("(%d,0)", block) },
	}
}

func sqlitePlaces() places {
	return places{
		end:    `SELECT COALESCE(MAX(rowid), 0) + 1 FROM devices`,
		within: `rowid >= $2 AND rowid < $3`,
		step:   10_000,
		at:     func(row int64) any { return row },
	}
}

// The clock is read once per page, which costs less than once per row.
const endPage = `
UPDATE devices
SET ended_ms = (SELECT STAMP_MS), ended_how = $1
WHERE ended_ms IS NULL
  AND `

// reportEvery is after how many marked devices RevokeAll reports progress.
const reportEvery = 10_000

// RevokeAll implements [session.DeviceStore]. It marks several pages at a time, each in
// a separate statement with its own time limit.
func (d devices) RevokeAll(ctx context.Context, why session.RevokeReason, progress func(marked int)) error {
	at := d.db.places
	var end int64
	if err := d.db.scan(ctx, "read devices", into{&end}, at.end); err != nil {
		return err
	}
	every := cmp.Or(d.db.page, reportEvery)
	pages, ctx := errgroup.WithContext(ctx)
	pages.SetLimit(d.db.writers)
	var mu sync.Mutex
	marked := 0
	for first := int64(0); first < end; first += at.step {
		pages.Go(func() error {
			n, err := d.db.exec(ctx, "revoke devices", endPage+at.within, string(why), at.at(first), at.at(first+at.step))
			mu.Lock()
			defer mu.Unlock()
			if marked += int(n); marked/every > (marked-int(n))/every {
				progress(marked)
			}
			return err
		})
	}
	return pages.Wait()
}
