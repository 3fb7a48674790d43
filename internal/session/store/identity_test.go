package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/session/store"
)

// TestAStoreKeepsItsID checks that a command that opens a store gets the same ID,
// before it has written anything.
func TestAStoreKeepsItsID(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		opened := p.open()
		marked := must(opened.Mark(t.Context()))(t)
		if p.cfg.Kind == store.KindMemory {
			return // no command reaches it
		}
		if (marked.ID == "") != (p.cfg.Kind == store.KindDatabase) || marked.Place == "" {
			t.Fatalf("marked as %+v", marked)
		}
		must(opened.DeleteAll(t.Context()))(t)
		if again := must(opened.Mark(t.Context()))(t); again != marked {
			t.Errorf("marked again as %+v, want %+v", again, marked)
		}
		require.NoError(t, opened.Close())
		refused := errors.New("another one")
		for _, answer := range []error{refused, nil} {
			var shown store.Identity
			cfg := p.cfg
			cfg.Accept = func(i store.Identity) error { shown = i; return answer }
			command, err := store.Open(t.Context(), cfg)
			if !errors.Is(err, answer) {
				t.Errorf("opened with %v, want %v", err, answer)
			}
			if shown != marked {
				t.Errorf("shown %+v, want %+v", shown, marked)
			}
			if err == nil {
				command.Close()
			}
		}
	})
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		require.NoError(t, err)
		return value
	}
}

func TestACommandMakesNoStore(t *testing.T) {
	for _, name := range []string{"embedded Redis", "file"} {
		t.Run(name, func(t *testing.T) {
			p := places[name](t)
			p.cfg.Accept = func(store.Identity) error { return nil }
			if _, err := store.Open(t.Context(), p.cfg); !errors.Is(err, store.ErrMissing) {
				t.Errorf("opened with %v, want %v", err, store.ErrMissing)
			}
		})
	}
}

// TestARemovalBesideTheServerIsFinal removes keys in another process, whatever the
// server is writing at that moment.
func TestARemovalBesideTheServerIsFinal(t *testing.T) {
	p := places["embedded Redis"](t)
	server := p.open()
	p.cfg.Accept = func(store.Identity) error { return nil }
	beside := p.open()
	for round := range 200 {
		key := fmt.Sprint("key", round)
		value := []byte(key + "=0")
		require.NoError(t, server.CompareAndSwap(t.Context(), key, nil, value, time.Hour))
		wrote, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			for n := 1; n < 10_000; n++ {
				next := fmt.Appendf(nil, "%s=%d", key, n)
				if err := server.CompareAndSwap(context.WithoutCancel(t.Context()), key, value, next, time.Hour); err != nil {
					ended <- err
					return
				}
				if value = next; n == 1 {
					close(wrote)
				}
			}
			ended <- nil
		}()
		<-wrote
		require.NoError(t, beside.Delete(t.Context(), key))
		if err := <-ended; !errors.Is(err, store.ErrConflict) {
			t.Fatalf("the server's write ended with %v, want %v", err, store.ErrConflict)
		}
		if left, err := server.Get(t.Context(), key); left != nil || err != nil {
			t.Fatalf("round %d: %q is there after it was removed, %v", round, left, err)
		}
	}
}
