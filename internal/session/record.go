package session

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	fastjson "github.com/goccy/go-json"
)

// Record is everything the store keeps of one session. It contains no token and
// nothing that a page must not show to the session's owner.
type Record struct {
	CreatedAt  time.Time         // when this session began: the login, for a member
	LastSeenAt time.Time         // last use that was stored, see [Manager.Commit]
	ExpiresAt  time.Time         // absolute lifetime: the session ends here whatever happens
	Member     *Member           // nil for a guest
	Values     map[string]string // what the person put in at /session
	Flashes    []Flash           // messages waiting for the next page

	raw []byte // the bytes this record was read from; nil: it is not stored
}

// Member is the person a session belongs to, with the data that a greeting needs.
type Member struct {
	ID     string `json:"id"`     // account.Person.ID
	Name   string `json:"name"`   // what the greeting says
	Start  int64  `json:"start"`  // number of the server start in which the person logged in
	Device string `json:"device"` // id of the row that lists this session; no token
	// Remember is set if the person asked to stay logged in.
	Remember bool `json:"remember,omitempty"`
}

// Flash is a message that one later page shows exactly once.
type Flash struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

func (r Record) clone() Record {
	r.Values = maps.Clone(r.Values)
	r.Flashes = slices.Clone(r.Flashes)
	if r.Member != nil {
		member := *r.Member
		r.Member = &member
	}
	return r
}

// empty reports whether nothing in r is worth storing.
func (r Record) empty() bool {
	return r.Member == nil && len(r.Values) == 0 && len(r.Flashes) == 0
}

// RecordVersion is written into every stored record. It does not change when an
// optional field is added, so that an older server running beside a newer one can
// read its sessions; it increases when an old reader would misunderstand a record.
const RecordVersion = 1

// Why stored bytes are not a record. The sender of that token is not logged in.
var (
	errUnreadable = errors.New("stored session cannot be read")
	// errNewer: a newer server stored it, and can read it.
	errNewer = errors.New("stored session has a newer version")
)

// storedRecord is a [Record] as stored. Times are Unix milliseconds.
type storedRecord struct {
	Version int `json:"v"`
	// Key is the beginning of the key under which the record is stored. It
	// identifies a reply that belongs to another key. Records of earlier releases
	// lack it.
	Key string `json:"key,omitempty"`
	// Write is random and different in every write, so that a conditional write that
	// is sent again recognises itself.
	Write    string            `json:"write,omitempty"`
	Created  int64             `json:"created"`
	Seen     int64             `json:"seen"`
	Deadline int64             `json:"ends"`
	Member   *Member           `json:"member,omitempty"`
	Values   map[string]string `json:"values,omitempty"`
	Notices  []Flash           `json:"notices,omitempty"`
}

// keyPieceLength is how many characters of its key a record carries: 48 bits.
const keyPieceLength = 8

// EncodeRecord returns r as stored under key.
func EncodeRecord(key string, r Record) ([]byte, error) {
	return json.Marshal(storedRecord{
		Version:  RecordVersion,
		Key:      key[:keyPieceLength],
		Write:    rand.Text()[:keyPieceLength],
		Created:  r.CreatedAt.UnixMilli(),
		Seen:     r.LastSeenAt.UnixMilli(),
		Deadline: r.ExpiresAt.UnixMilli(),
		Member:   r.Member,
		Values:   r.Values,
		Notices:  r.Flashes,
	})
}

// DecodeRecord reads a stored record. Its errors say why that failed.
func DecodeRecord(raw []byte) (Record, error) {
	var stored storedRecord
	if err := fastjson.Unmarshal(raw, &stored); err != nil { // a fifth of the time that encoding/json takes
		return Record{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	switch {
	case stored.Version > RecordVersion:
		return Record{}, fmt.Errorf("%w: %d, this server knows %d", errNewer, stored.Version, RecordVersion)
	case stored.Version != RecordVersion:
		return Record{}, fmt.Errorf("%w: version %d, this server knows %d", errUnreadable, stored.Version, RecordVersion)
	case stored.Created <= 0 || stored.Seen <= 0 || stored.Deadline <= 0:
		return Record{}, fmt.Errorf("%w: a time is missing", errUnreadable)
	case stored.Member != nil && (stored.Member.ID == "" || stored.Member.Name == ""):
		return Record{}, fmt.Errorf("%w: a member without id or name", errUnreadable)
	}
	return Record{
		CreatedAt:  time.UnixMilli(stored.Created).UTC(),
		LastSeenAt: time.UnixMilli(stored.Seen).UTC(),
		ExpiresAt:  time.UnixMilli(stored.Deadline).UTC(),
		Member:     stored.Member,
		Values:     stored.Values,
		Flashes:    stored.Notices,
		raw:        raw,
	}, nil
}

// keyField precedes the key's beginning in every record that has it.
const keyField = `{"v":1,"key":"`

// Belongs reports whether value may have been stored under key: it contains the
// beginning of that key, or of none.
func Belongs(key string, value []byte) bool {
	rest, named := bytes.CutPrefix(value, []byte(keyField))
	return !named || len(key) >= keyPieceLength && bytes.HasPrefix(rest, []byte(key[:keyPieceLength]))
}

// recordKey is the only entry used in scs's value map. It holds the [Record] that
// was read, or the bytes to be written.
const recordKey = "record"

// codec is the scs codec: versioned JSON instead of the default gob, which breaks
// stored sessions when a type is renamed and is not designed for untrusted input
// (package encoding/gob, section Security).
type codec struct{}

// Encode implements [scs.Codec].
func (codec) Encode(_ time.Time, values map[string]any) ([]byte, error) {
	raw, ok := values[recordKey].([]byte)
	if !ok {
		return nil, errors.New("encode session: not an encoded record")
	}
	return raw, nil
}

// Decode implements [scs.Codec]; its errors are those of [DecodeRecord].
func (codec) Decode(raw []byte) (time.Time, map[string]any, error) {
	record, err := DecodeRecord(raw)
	return record.ExpiresAt, map[string]any{recordKey: record}, err
}
