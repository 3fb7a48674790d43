package database_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"holdfast/internal/database"
)

func TestStartsAreNumberedWithoutGapOrRepeat(t *testing.T) {
	sharedOnBoth(t, func(t *testing.T, open func() *database.DB) {
		handles := []*database.DB{open(), open()}
		const starts = 20
		numbers := make([]int64, starts)
		begin := make(chan struct{})
		var all sync.WaitGroup
		for n := range starts {
			all.Go(func() {
				<-begin
				var err error
				numbers[n], err = handles[n%2].RecordStart(context.Background(),
					database.Start{Instance: fmt.Sprint(n), Version: "test", At: birth})
				if err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		all.Wait()
		slices.Sort(numbers)
		for i, number := range numbers {
			if number != int64(i+1) {
				t.Fatalf("numbers %v; want 1 to %d", numbers, starts)
			}
		}
		if instances := value[int](t, handles[0], `SELECT COUNT(DISTINCT instance) FROM starts`); instances != starts {
			t.Errorf("%d instances written down", instances)
		}
	})
}
