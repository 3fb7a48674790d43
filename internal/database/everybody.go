package database

import (
	"cmp"
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/session"
)

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
