package session

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_123).UTC()
	for name, record := range map[string]Record{
		"guest":  {Created: at, Seen: at.Add(time.Second), Deadline: at.Add(time.Hour), Values: map[string]string{"a": "", "\u00e9\"<": "x\\y"}},
		"member": {Created: at, Seen: at, Deadline: at.Add(time.Hour), Member: &Member{ID: "id", Name: "Ada \U0001f41a", Start: 1 << 60, Device: "d", Remember: true}, Notices: []Notice{{"1", "one"}, {"2", "two"}}},
	} {
		stored, err := encodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeRecord(stored)
		if err != nil || !reflect.DeepEqual(record, again) {
			t.Errorf("%s: %+v became %+v, %v", name, record, again, err)
		}
	}
}

func TestWhatIsNoRecordOfThisVersionIsNotRead(t *testing.T) {
	for _, junk := range []string{
		"", "null", "[]", "{}", `"v"`, "\x00", `{"v":1}`, `{"v":"1"}`,
		`{"v":0,"created":1,"seen":1,"ends":1}`, `{"v":2,"created":1,"seen":1,"ends":1}`,
		`{"v":1,"created":-1,"seen":1,"ends":1}`, `{"v":1,"created":1,"seen":1,"ends":1e999}`,
		`{"v":1,"created":1,"seen":1,"ends":1,"member":{}}`, `{"v":1,"created":1,"seen":1,"ends":1}x`,
	} {
		if _, err := decodeRecord([]byte(junk)); !errors.Is(err, errUnreadable) {
			t.Errorf("%q was read, %v", junk, err)
		}
	}
}

// FuzzDecodeRecord: any bytes are refused by name, or are a record that can be
// written and read again unchanged.
func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"created":1,"seen":1,"ends":1}`))
	f.Add([]byte(`{"v":1,"created":1,"seen":9223372036854775807,"ends":1,"member":{"id":"i","name":"n"},"values":{"k":"v"},"notices":[{"id":"1","text":"t"}]}`))
	f.Add([]byte(`{"v":1,"created":1,"seen":1,"ends":1,"notices":null,"values":null,"member":null}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		record, err := decodeRecord(stored)
		if err != nil {
			if !errors.Is(err, errUnreadable) {
				t.Fatalf("an error without its name: %v", err)
			}
			return
		}
		Limits{Idle: time.Hour, Lifetime: time.Hour, Remember: time.Hour}.live(record, time.Now())
		again, err := encodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		once, err := decodeRecord(again)
		if err != nil {
			t.Fatalf("%q was written as %q, which cannot be read: %v", stored, again, err)
		}
		twice, err := encodeRecord(once)
		if err != nil || string(twice) != string(again) {
			t.Fatalf("%q became %q", again, twice)
		}
	})
}

// FuzzOverlay holds the laws of laying changes over each other, for records
// that requests could have made.
func FuzzOverlay(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		random := rand.New(rand.NewPCG(a, b))
		base := someRecord(random)
		mine, theirs := changed(random, base, "mine"), changed(random, base, "theirs")
		kept := fmt.Sprint(base, mine, theirs)
		if merged, taken := overlay(base, base, theirs); taken || !alike(merged, theirs) {
			t.Errorf("nothing changed here: %+v over %+v is %+v", base, theirs, merged)
		}
		if merged, taken := overlay(base, mine, base); taken || !alike(merged, mine) {
			t.Errorf("nothing changed there: %+v became %+v", mine, merged)
		}
		merged, taken := overlay(base, mine, theirs)
		if fmt.Sprint(base, mine, theirs) != kept {
			t.Error("what was merged has been changed")
		}
		checkValues(t, base, mine, theirs, merged)
		bothTook := false
		for _, n := range base.Notices {
			gone, goneThere := !slices.Contains(mine.Notices, n), !slices.Contains(theirs.Notices, n)
			bothTook = bothTook || gone && goneThere
			if slices.Contains(merged.Notices, n) != (!gone && !goneThere) {
				t.Errorf("notice %v: taken here %t, there %t, afterwards in %v", n, gone, goneThere, merged.Notices)
			}
		}
		if taken != bothTook {
			t.Errorf("taken is %t, both took one: %t", taken, bothTook)
		}
		for _, n := range append(added(base, mine), added(base, theirs)...) {
			if !slices.Contains(merged.Notices, n) {
				t.Errorf("notice %v was lost", n)
			}
		}
		if merged.Seen.Before(mine.Seen) || merged.Seen.Before(theirs.Seen) {
			t.Error("the last use went back")
		}
	})
}

func added(base, changed Record) (notices []Notice) {
	for _, n := range changed.Notices {
		if !slices.Contains(base.Notices, n) {
			notices = append(notices, n)
		}
	}
	return notices
}

// checkValues: a value that only one side touched is as that side left it; one
// that both touched is as mine.
func checkValues(t *testing.T, base, mine, theirs, merged Record) {
	t.Helper()
	for i := range 6 {
		key := fmt.Sprint("k", i)
		was, stood := base.Values[key]
		here, stands := mine.Values[key]
		want, wanted := theirs.Values[key]
		if here != was || stands != stood {
			want, wanted = here, stands
		}
		if got, is := merged.Values[key]; got != want || is != wanted {
			t.Errorf("%s was %q, is %q here and %q there: merged %q", key, was, here, theirs.Values[key], got)
		}
	}
}

func someRecord(random *rand.Rand) Record {
	at := time.UnixMilli(1_800_000_000_000).UTC()
	r := Record{Created: at, Seen: at, Deadline: at.Add(time.Hour), Values: map[string]string{}}
	if random.IntN(2) == 0 {
		r.Member = &Member{ID: "id", Name: "Ada"}
	}
	for i := range 6 {
		if random.IntN(2) == 0 {
			r.Values[fmt.Sprint("k", i)] = "base"
		}
	}
	for i := range random.IntN(4) {
		r.Notices = append(r.Notices, Notice{fmt.Sprint("n", i), "base"})
	}
	return r
}

func changed(random *rand.Rand, base Record, by string) Record {
	r := base.clone()
	r.Seen = r.Seen.Add(time.Duration(random.IntN(100)) * time.Second)
	for i := range 6 {
		switch key := fmt.Sprint("k", i); random.IntN(3) {
		case 0:
			r.Values[key] = by
		case 1:
			delete(r.Values, key)
		}
	}
	r.Notices = slices.DeleteFunc(r.Notices, func(Notice) bool { return random.IntN(2) == 0 })
	for i := range random.IntN(3) {
		r.Notices = append(r.Notices, Notice{fmt.Sprint(by, i), by})
	}
	if r.Member != nil && random.IntN(2) == 0 {
		r.Member.Name = by
	}
	return r
}

// alike compares what records hold: no values is the same as an empty map.
func alike(a, b Record) bool {
	return a.Created.Equal(b.Created) && a.Seen.Equal(b.Seen) && a.Deadline.Equal(b.Deadline) &&
		reflect.DeepEqual(a.Member, b.Member) && maps.Equal(a.Values, b.Values) && slices.Equal(a.Notices, b.Notices)
}

func TestAnIDCanBeTypedAfterAFlag(t *testing.T) {
	for range 1000 {
		if id := newID(); len(id) != 16 || strings.ContainsFunc(id, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') }) {
			t.Fatalf("the id %q has more than letters and digits", id)
		}
	}
}

// A store that did its work and lost its answer is asked again: what this
// request left stands there already, among what another one stored meanwhile.
func TestANoticeThatStandsAlreadyIsNotAddedAgain(t *testing.T) {
	notice := Notice{ID: "n", Text: "Saved."}
	mine := Record{Notices: []Notice{notice}}
	theirs := Record{Notices: []Notice{notice}, Values: map[string]string{"a": "b"}}
	merged, taken := overlay(Record{}, mine, theirs)
	if len(merged.Notices) != 1 || taken || merged.Values["a"] != "b" {
		t.Errorf("merged to %+v, taken %v", merged, taken)
	}
}

// While servers are replaced one after the other, an older one reads what a
// newer one wrote.
func TestAFieldThatANewerServerAddedIsIgnored(t *testing.T) {
	stored := `{"v":1,"created":1,"seen":2,"ends":3,"member":{"id":"i","name":"Ada","start":1,"device":"d","mood":"calm"},"colour":"green"}`
	record, err := decodeRecord([]byte(stored))
	if err != nil || record.Member == nil || record.Member.Name != "Ada" {
		t.Errorf("read %+v, %v", record, err)
	}
}
