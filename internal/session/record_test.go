package session

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	fastjson "github.com/goccy/go-json"

	"holdfast/internal/dev/require"
)

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_123).UTC()
	for name, record := range map[string]Record{
		"guest":  {CreatedAt: at, LastSeenAt: at.Add(time.Second), ExpiresAt: at.Add(time.Hour), Values: map[string]string{"a": "", "\u00e9\"<": "x\\y"}},
		"member": {CreatedAt: at, LastSeenAt: at, ExpiresAt: at.Add(time.Hour), Member: &Member{ID: "id", Name: "Ada \U0001f41a", Start: 1 << 60, Device: "d", Remember: true}, Flashes: []Flash{{"1", "one"}, {"2", "two"}}},
	} {
		stored, err := EncodeRecord(benchKey, record)
		require.NoError(t, err)
		again, err := DecodeRecord(stored)
		record.raw = stored
		if err != nil || !reflect.DeepEqual(record, again) {
			t.Errorf("%s: %+v became %+v, %v", name, record, again, err)
		}
	}
}

func TestWhatIsNoRecordOfThisVersionIsNotRead(t *testing.T) {
	for _, junk := range []string{
		"", "null", "[]", "{}", `"v"`, "\x00", `{"v":1}`, `{"v":"1"}`,
		`{"v":0,"created":1,"seen":1,"ends":1}`,
		`{"v":1,"created":-1,"seen":1,"ends":1}`, `{"v":1,"created":1,"seen":1,"ends":1e999}`,
		`{"v":1,"created":1,"seen":1,"ends":1,"member":{}}`, `{"v":1,"created":1,"seen":1,"ends":1}x`,
	} {
		if _, err := DecodeRecord([]byte(junk)); !errors.Is(err, errUnreadable) {
			t.Errorf("%q was read, %v", junk, err)
		}
	}
}

// FuzzDecodeRecord checks that any bytes are either rejected with a named error, or
// decode to a record that can be encoded and decoded again unchanged.
func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"created":1,"seen":1,"ends":1}`))
	f.Add([]byte(`{"v":1,"created":1,"seen":9223372036854775807,"ends":1,"member":{"id":"i","name":"n"},"values":{"k":"v"},"notices":[{"id":"1","text":"t"}]}`))
	f.Add([]byte(`{"v":1,"created":1,"seen":1,"ends":1,"notices":null,"values":null,"member":null}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		record, err := DecodeRecord(stored)
		if err != nil {
			if !errors.Is(err, errUnreadable) && !errors.Is(err, errNewer) {
				t.Fatalf("an error without its name: %v", err)
			}
			return
		}
		Limits{Idle: time.Hour, Lifetime: time.Hour, Remember: time.Hour}.Live(record, time.Now())
		again, err := EncodeRecord(benchKey, record)
		require.NoError(t, err)
		once, err := DecodeRecord(again)
		if err != nil {
			t.Fatalf("%q was written as %q, which cannot be read: %v", stored, again, err)
		}
		if !alike(once, record) {
			t.Fatalf("%+v became %+v", record, once)
		}
		if !Belongs(benchKey, again) || Belongs("x"+benchKey[1:], again) {
			t.Fatalf("%q does not tell its own key from another", again)
		}
	})
}

// FuzzReadersAgree checks that records are accepted, rejected and decoded exactly as by
// encoding/json, which other releases use.
func FuzzReadersAgree(f *testing.F) {
	const times = `{"v":1,"key":"47DEQpj8","write":"ABCDEFGH","created":1800000000000,"seen":1800003600000,"ends":1800604800000`
	for _, seed := range []string{
		times + `}`, times + `} `, times + `}}`, times + `,"ends":1}`, times, strings.Repeat(`[`, 20_000),
		times + `,"member":{"id":"i","name":"n","start":12,"device":"d","remember":true},"values":{"a":"b","c":""},"notices":[{"id":"1","text":"t"}]}`,
		times + `,"member":{"id":"i","name":"n","start":0,"device":"d"},"values":{"a":"b","a":"c"}}`,
		times + `,"member":{"id":"\xff","name":"\u2028","start":-1,"device":"\ud800"}}`, times + `,"values":{}}`, times + `,"values":{"a":"b",}}`,
		times + `,"values":{"a":"\n"}}`, times + `,"values":{"a":"` + "\n" + `"}}`, times + `,"values":{"a":"` + "\u2028\x7f" + `"}}`,
		times + `,"values":{"a":"` + "\xff" + `"}}`, times + `,"values":{"` + "\xed\xa0\x80" + `":"b"}}`, times + `,"member":null}`,
		`{"v":1,"created":01,"seen":0,"ends":1}`, `{"v":1,"created":1,"seen":0,"ends":1e3}`, `{"v":1,"created":999999999999999999,"seen":9223372036854775807,"ends":9223372036854775808}`,
		`{"v":10,"created":1,"seen":1,"ends":1}`, `{"v":1.0,"created":1,"seen":1,"ends":1}`, `{"V":1,"created":1,"seen":-0,"ends":1.5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got, want storedRecord
		gotErr, wantErr := fastjson.Unmarshal(raw, &got), json.Unmarshal(raw, &want)
		if (gotErr == nil) != (wantErr == nil) || wantErr == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q was read as %+v, %v; by encoding/json as %+v, %v", raw, got, gotErr, want, wantErr)
		}
	})
}

// TestDeepNestingIsRefusedByName covers a store that holds arbitrary data: rejecting
// what is not a record costs little more than its bytes.
func TestDeepNestingIsRefusedByName(t *testing.T) {
	const times = `{"v":1,"created":1,"seen":1,"ends":1`
	for name, before := range map[string]string{"alone": "", "unknown field": times + `,"x":`, "member": times + `,"member":`, "values": times + `,"values":`} {
		for _, bracket := range []string{`[`, `{"a":`} {
			raw := before + strings.Repeat(bracket, 10<<20/len(bracket))
			if _, err := DecodeRecord([]byte(raw)); !errors.Is(err, errUnreadable) {
				t.Errorf("%s, nested in %s: %v", name, bracket, err)
			}
		}
	}
}

// FuzzMerge checks the rules of merge on records that requests could have produced.
func FuzzMerge(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		random := rand.New(rand.NewPCG(a, b))
		base := someRecord(random)
		mine, theirs := changed(random, base, "mine"), changed(random, base, "theirs")
		kept := fmt.Sprint(base, mine, theirs)
		if merged, taken := merge(base, base, theirs); taken || !alike(merged, theirs) {
			t.Errorf("nothing changed here: %+v over %+v is %+v", base, theirs, merged)
		}
		if merged, taken := merge(base, mine, base); taken || !alike(merged, mine) {
			t.Errorf("nothing changed there: %+v became %+v", mine, merged)
		}
		merged, taken := merge(base, mine, theirs)
		if fmt.Sprint(base, mine, theirs) != kept {
			t.Error("what was merged has been changed")
		}
		checkValues(t, base, mine, theirs, merged)
		bothTook := false
		for _, n := range base.Flashes {
			gone, goneThere := !slices.Contains(mine.Flashes, n), !slices.Contains(theirs.Flashes, n)
			bothTook = bothTook || gone && goneThere
			if slices.Contains(merged.Flashes, n) != (!gone && !goneThere) {
				t.Errorf("notice %v: taken here %t, there %t, afterwards in %v", n, gone, goneThere, merged.Flashes)
			}
		}
		if taken != bothTook {
			t.Errorf("taken is %t, both took one: %t", taken, bothTook)
		}
		for _, n := range append(added(base, mine), added(base, theirs)...) {
			if !slices.Contains(merged.Flashes, n) {
				t.Errorf("notice %v was lost", n)
			}
		}
		if merged.LastSeenAt.Before(mine.LastSeenAt) || merged.LastSeenAt.Before(theirs.LastSeenAt) {
			t.Error("the last use went back")
		}
	})
}

func added(base, changed Record) (notices []Flash) {
	for _, n := range changed.Flashes {
		if !slices.Contains(base.Flashes, n) {
			notices = append(notices, n)
		}
	}
	return notices
}

// checkValues checks that a value changed by one side only is as that side left it, and
// that one changed by both is as in mine.
func checkValues(t *testing.T, base, mine, theirs, merged Record) {
	t.Helper()
	for i := range 6 {
		key := fmt.Sprint("k", i)
		was, stood := base.Values[key]
		here, has := mine.Values[key]
		want, wanted := theirs.Values[key]
		if here != was || has != stood {
			want, wanted = here, has
		}
		if got, is := merged.Values[key]; got != want || is != wanted {
			t.Errorf("%s was %q, is %q here and %q there: merged %q", key, was, here, theirs.Values[key], got)
		}
	}
}

func someRecord(random *rand.Rand) Record {
	at := time.UnixMilli(1_800_000_000_000).UTC()
	r := Record{CreatedAt: at, LastSeenAt: at, ExpiresAt: at.Add(time.Hour), Values: map[string]string{}}
	if random.IntN(2) == 0 {
		r.Member = &Member{ID: "id", Name: "Ada"}
	}
	for i := range 6 {
		if random.IntN(2) == 0 {
			r.Values[fmt.Sprint("k", i)] = "base"
		}
	}
	for i := range random.IntN(4) {
		r.Flashes = append(r.Flashes, Flash{fmt.Sprint("n", i), "base"})
	}
	return r
}

func changed(random *rand.Rand, base Record, by string) Record {
	r := base.clone()
	r.LastSeenAt = r.LastSeenAt.Add(time.Duration(random.IntN(100)) * time.Second)
	for i := range 6 {
		switch key := fmt.Sprint("k", i); random.IntN(3) {
		case 0:
			r.Values[key] = by
		case 1:
			delete(r.Values, key)
		}
	}
	r.Flashes = slices.DeleteFunc(r.Flashes, func(Flash) bool { return random.IntN(2) == 0 })
	for i := range random.IntN(3) {
		r.Flashes = append(r.Flashes, Flash{fmt.Sprint(by, i), by})
	}
	if r.Member != nil && random.IntN(2) == 0 {
		r.Member.Name = by
	}
	return r
}

// alike compares the contents of records. No values equal an empty map.
func alike(a, b Record) bool {
	return a.CreatedAt.Equal(b.CreatedAt) && a.LastSeenAt.Equal(b.LastSeenAt) && a.ExpiresAt.Equal(b.ExpiresAt) &&
		reflect.DeepEqual(a.Member, b.Member) && maps.Equal(a.Values, b.Values) && slices.Equal(a.Flashes, b.Flashes)
}

func TestAnIDCanBeTypedAfterAFlag(t *testing.T) {
	for range 1000 {
		if id := newID(); len(id) != 16 || strings.ContainsFunc(id, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') }) {
			t.Fatalf("the id %q has more than letters and digits", id)
		}
	}
}

func TestATokenHasTheAlphabetOfBase64URLAlone(t *testing.T) {
	good := []byte(benchKey)
	for at := range good {
		for c := range 256 {
			token := bytes.Clone(good)
			token[at] = byte(c)
			_, err := base64.RawURLEncoding.DecodeString(string(token))
			want := err == nil && c != '\r' && c != '\n' // which the decoder skips
			if WellFormed(string(token)) != want {
				t.Errorf("%q: well-formed is %t, want %t", token, !want, want)
			}
		}
	}
	for _, token := range []string{"", benchKey[1:], benchKey + "A", benchKey[1:] + "="} {
		if WellFormed(token) {
			t.Errorf("%q is well-formed", token)
		}
	}
}

// TestANoticeThatStandsAlreadyIsNotAddedAgain covers a write that was made and whose
// reply was lost. When it is retried, the flash is stored already, along with another
// request's changes.
func TestANoticeThatStandsAlreadyIsNotAddedAgain(t *testing.T) {
	notice := Flash{ID: "n", Text: "Saved."}
	mine := Record{Flashes: []Flash{notice}}
	theirs := Record{Flashes: []Flash{notice}, Values: map[string]string{"a": "b"}}
	merged, taken := merge(Record{}, mine, theirs)
	if len(merged.Flashes) != 1 || taken || merged.Values["a"] != "b" {
		t.Errorf("merged to %+v, taken %v", merged, taken)
	}
}

// TestAFieldThatANewerServerAddedIsIgnored covers a rolling upgrade, in which an older
// server reads what a newer one wrote.
func TestAFieldThatANewerServerAddedIsIgnored(t *testing.T) {
	stored := `{"v":1,"created":1,"seen":2,"ends":3,"member":{"id":"i","name":"Ada","start":1,"device":"d","mood":"calm"},"colour":"green"}`
	record, err := DecodeRecord([]byte(stored))
	if err != nil || record.Member == nil || record.Member.Name != "Ada" {
		t.Errorf("read %+v, %v", record, err)
	}
}

// TestRecordsOfEarlierReleasesAreRead reads records of a release that did not yet store
// part of the key in each record.
func TestRecordsOfEarlierReleasesAreRead(t *testing.T) {
	file, err := os.ReadFile("testdata/records-v1.jsonl")
	require.NoError(t, err)
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	want := []Record{
		{CreatedAt: at(1780000000000), LastSeenAt: at(1780000060000), ExpiresAt: at(1780604800000),
			Member: &Member{ID: "QWRhICAgICAgICAgICAgIA", Name: "Ada", Start: 7, Device: "K4Q2M7XW5T3ZB6JN"}},
		{CreatedAt: at(1780000000000), LastSeenAt: at(1780000000000), ExpiresAt: at(1782592000000),
			Member:  &Member{ID: "R3JhY2UgICAgICAgICAgIA", Name: "Grace \"O'Brien\" <b>&amp;</b> \u540d\u524d \U0001F40B", Start: 12, Device: "ZB6JNK4Q2M7XW5T3", Remember: true},
			Values:  map[string]string{"colour": "green", "<k>": "line & \u2028 end"},
			Flashes: []Flash{{ID: "N6JK4Q2M7XW5T3ZB", Text: "Your name is changed."}}},
		{CreatedAt: at(1780000000000), LastSeenAt: at(1780000000001), ExpiresAt: at(1780604800000), Values: map[string]string{"username": "limpet"}},
		{CreatedAt: at(1780000000000), LastSeenAt: at(1780000000001), ExpiresAt: at(1780604800000), Flashes: []Flash{{ID: "A", Text: "One."}, {ID: "B", Text: "Two."}}},
	}
	lines := bytes.Split(bytes.TrimSpace(file), []byte("\n"))
	if len(lines) != len(want) {
		t.Fatalf("%d records, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		got, err := DecodeRecord(line)
		if err != nil || !alike(got, want[i]) {
			t.Errorf("read %+v, %v; want %+v", got, err, want[i])
		}
		if !Belongs(benchKey, line) {
			t.Errorf("%s is taken for another key's", line)
		}
	}
}

func TestANewerVersionIsToldFromJunk(t *testing.T) {
	if _, err := DecodeRecord([]byte(`{"v":2,"created":1,"seen":1,"ends":1}`)); !errors.Is(err, errNewer) {
		t.Errorf("version 2: %v", err)
	}
}
