package password_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"holdfast/internal/dev/require"
	"holdfast/internal/password"
)

const right = "correct otter battery anchor"

// cheap returns a hasher for tests that do not depend on the cost of a hash.
func cheap(slots int, wait time.Duration) *password.Hasher {
	return password.NewHasher(password.Cost{MemoryKiB: 16, Passes: 1}, slots, wait)
}

func hashOf(t testing.TB, h *password.Hasher, pass string) string {
	t.Helper()
	hash, err := h.Hash(t.Context(), pass)
	require.NoError(t, err)
	return hash
}

func TestHashIsArgon2idAtTheStatedCostWithItsOwnSalt(t *testing.T) {
	h := password.NewHasher(password.DefaultCost(), 2, time.Minute)
	one, two := hashOf(t, h, right), hashOf(t, h, right)
	shape := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
	if !shape.MatchString(one) {
		t.Errorf("hash %q", one)
	}
	if one == two {
		t.Error("two hashes of one password are the same: the salt is not new")
	}
}

func TestVerifyKnowsThePasswordInEitherUnicodeForm(t *testing.T) {
	h := cheap(2, time.Minute)
	for _, c := range []struct {
		hashed, tried string
		want          bool
	}{
		{right, right, true},
		{right, right + " ", false},
		{right, strings.ToUpper(right), false},
		{right, "", false},
		{"caf\u00e9 au lait, twice", "cafe\u0301 au lait, twice", true},
		{"cafe\u0301 au lait, twice", "caf\u00e9 au lait, twice", true},
		{strings.Repeat("a", 99) + "x", strings.Repeat("a", 99) + "y", false}, // nothing is truncated
		{strings.Repeat("a", 1023) + "x", strings.Repeat("a", 1023) + "y", false},
	} {
		ok, outdated, err := h.Verify(t.Context(), hashOf(t, h, c.hashed), c.tried)
		if err != nil || ok != c.want || outdated {
			t.Errorf("%.40q against %.40q: ok %v, outdated %v, %v", c.tried, c.hashed, ok, outdated, err)
		}
	}
}

// phc returns a hash of the right password at another cost.
func phc(memory, passes uint32, lanes uint8, salt string, keyLen uint32) string {
	key := argon2.IDKey([]byte(right), []byte(salt), passes, memory, lanes, keyLen)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", memory, passes, lanes,
		base64.RawStdEncoding.EncodeToString([]byte(salt)), base64.RawStdEncoding.EncodeToString(key))
}

func TestVerifyReadsOtherCostsAndNamesTheOutdated(t *testing.T) {
	h := password.NewHasher(password.DefaultCost(), 2, time.Minute)
	for _, c := range []struct {
		hash     string
		outdated bool
	}{
		{phc(19456, 2, 1, "0123456789abcdef", 32), false},
		{phc(65536, 3, 4, "0123456789abcdef", 32), false},
		{phc(19455, 2, 1, "0123456789abcdef", 32), true},
		{phc(19456, 1, 1, "0123456789abcdef", 32), true},
		{phc(19456, 2, 1, "01234567", 32), true},
		{phc(19456, 2, 1, "0123456789abcdef", 16), true},
		{phc(64, 1, 2, "0123456789abcdef", 32), true},
	} {
		ok, outdated, err := h.Verify(t.Context(), c.hash, right)
		if err != nil || !ok || outdated != c.outdated {
			t.Errorf("%s: ok %v, outdated %v, %v", c.hash, ok, outdated, err)
		}
	}
}

func TestVerifyRefusesAbsurdAndBrokenHashesAtOnce(t *testing.T) {
	h := cheap(1, 0)
	const salt, key = "MDEyMzQ1Njc4OWFiY2RlZg", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, hash := range []string{
		"", "$", "$$$$$", "nonsense", strings.Repeat("$", 1000),
		"$argon2id$v=19$m=8388608,t=2,p=1$" + salt + "$" + key, // 8 GiB
		"$argon2id$v=19$m=131073,t=2,p=1$" + salt + "$" + key,  // one KiB too many
		"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=99999999999,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=4294967295,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=11,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=255$" + salt + "$" + key,
		"$argon2id$v=19$m=7,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=-1,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + key,
		"$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + key,
		"x$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1,x=1$" + salt + "$" + key,
		"$argon2id$v=19$m=019456,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Ng$" + key, // seven bytes of salt
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$AAAA",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("AAAA", 1000),
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key + "=",
		"$2b$12$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		before := h.Work()
		ok, _, err := h.Verify(t.Context(), hash, right)
		if !errors.Is(err, password.ErrHash) || ok {
			t.Errorf("%.80q: ok %v, %v", hash, ok, err)
		}
		if h.Work() != before {
			t.Errorf("%.80q: refused only after hashing", hash)
		}
	}
}

func TestNothingUnacceptableIsEverHashed(t *testing.T) {
	h := cheap(1, time.Minute)
	hash := hashOf(t, h, right)
	for _, pass := range []string{strings.Repeat("a", 1025), strings.Repeat("a", 1<<20), "a\x00b", "\xff"} {
		if password.Hashable(pass) {
			t.Errorf("%.20q is hashable", pass)
		}
		_, hashErr := h.Hash(t.Context(), pass)
		_, _, verifyErr := h.Verify(t.Context(), hash, pass)
		nobodyErr := h.VerifyNobody(t.Context(), pass)
		for _, err := range []error{hashErr, verifyErr, nobodyErr} {
			if !errors.Is(err, password.ErrUnhashable) {
				t.Errorf("%.20q: %v", pass, err)
			}
		}
	}
	if !password.Hashable(strings.Repeat("a", 1024)) {
		t.Error("1,024 bytes are not hashable")
	}
}

// Many callers compete for one slot without waiting: one of them hashes while the rest
// get ErrBusy, and the slot is free again afterwards.
func TestHasherShedsWhatItHasNoSlotFor(t *testing.T) {
	h := cheap(1, 0)
	const callers = 64
	var done, busy atomic.Int64
	othersRefused := make(chan struct{})
	h.CallBefore(func() {
		select {
		case <-othersRefused:
		case <-time.After(20 * time.Second):
		}
	})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			switch err := h.VerifyNobody(context.Background(), right); {
			case err == nil:
				done.Add(1)
			case errors.Is(err, password.ErrBusy):
				if busy.Add(1) == callers-1 {
					close(othersRefused)
				}
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 || busy.Load() != callers-1 {
		t.Errorf("%d hashed, %d were refused; want 1 and %d", done.Load(), busy.Load(), callers-1)
	}
	if err := h.VerifyNobody(t.Context(), right); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestNeverAreMoreHashesMadeAtOnceThanThereAreSlots(t *testing.T) {
	for _, slots := range []int{1, 2, 5} {
		for _, wait := range []time.Duration{0, time.Millisecond} {
			h := cheap(slots, wait)
			if h.Slots() != slots {
				t.Errorf("%d slots, want %d", h.Slots(), slots)
			}
			entered, release := make(chan struct{}), make(chan struct{})
			h.CallBefore(func() {
				entered <- struct{}{}
				<-release
			})
			answers := make(chan error)
			ask := func() { answers <- h.VerifyNobody(context.Background(), right) }
			for range slots {
				go ask()
				<-entered // every slot is in use from here on
			}
			for range 3 {
				go ask()
				select {
				case err := <-answers:
					if !errors.Is(err, password.ErrBusy) {
						t.Errorf("%d slots, all taken: %v", slots, err)
					}
				case <-entered:
					t.Fatalf("%d slots: one hash more was made at once", slots)
				}
			}
			close(release)
			for range slots {
				if err := <-answers; err != nil {
					t.Errorf("%d slots: %v", slots, err)
				}
			}
		}
	}
}

func TestHasherWaitsItsTurnAndStopsWithItsCaller(t *testing.T) {
	patient := cheap(1, time.Minute)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := patient.VerifyNobody(t.Context(), right); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := patient.Hash(gone, right); !errors.Is(err, context.Canceled) {
		t.Errorf("caller gone: %v", err)
	}
}

func TestVerifyNobodyIsAsMuchWorkAsVerify(t *testing.T) {
	h := password.NewHasher(password.DefaultCost(), 1, time.Minute)
	hash := hashOf(t, h, right)
	begun := h.Work()
	if _, _, err := h.Verify(t.Context(), hash, "wrong"); err != nil {
		t.Fatal(err)
	}
	somebody := h.Work() - begun
	require.NoError(t, h.VerifyNobody(t.Context(), "wrong"))
	if nobody := h.Work() - begun - somebody; nobody != somebody || somebody != 19456*2 {
		t.Errorf("somebody %d KiB passes, nobody %d", somebody, nobody)
	}
}

func BenchmarkHash(b *testing.B) {
	h := password.NewHasher(password.DefaultCost(), 1, time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		hashOf(b, h, right)
	}
}

func BenchmarkVerify(b *testing.B) {
	h := password.NewHasher(password.DefaultCost(), 1, time.Minute)
	hash := hashOf(b, h, right)
	b.ReportAllocs()
	for b.Loop() {
		if ok, _, err := h.Verify(b.Context(), hash, right); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

func TestHashesForOneKeyTakeHalfOfTheSlots(t *testing.T) {
	for slots, share := range map[int]int{1: 1, 2: 1, 4: 2, 5: 2} {
		h := cheap(slots, 0)
		entered, release, answers := make(chan struct{}, slots), make(chan struct{}), make(chan error, 10)
		h.CallBefore(func() {
			entered <- struct{}{}
			<-release
		})
		ask := func(ctx context.Context) { answers <- h.VerifyNobody(ctx, right) }
		ada := password.For(t.Context(), "ada")
		for range share + 3 {
			go ask(ada)
		}
		for range 3 {
			if err := <-answers; !errors.Is(err, password.ErrBusy) {
				t.Errorf("%d slots: one hash too many for one key: %v", slots, err)
			}
		}
		for range share {
			<-entered
		}
		for range slots - share {
			go ask(t.Context())
			<-entered
		}
		close(release)
		for range slots {
			if err := <-answers; err != nil {
				t.Errorf("%d slots: %v", slots, err)
			}
		}
		if err := h.VerifyNobody(ada, right); err != nil {
			t.Errorf("%d slots, afterwards: %v", slots, err)
		}
	}
}
