package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"
)

// recordKey is the one entry of the scs values map that is used: the whole
// [Record] stands under it, so that its shape is a Go type and not a habit.
const recordKey = "record"

// recordVersion is written into every stored record. Adding an optional field
// leaves it alone, so that an older server running beside a newer one reads
// the newer one's sessions; it rises when an old reader would misunderstand.
const recordVersion = 1

// errUnreadable is returned for stored bytes that are no record of this
// version. Whoever sent that token is not logged in.
var errUnreadable = errors.New("stored session cannot be read")

// codec is the scs codec: versioned JSON instead of the default gob, which
// breaks old sessions when a type is renamed and is not meant for bytes that
// somebody else may have written (package encoding/gob, section Security).
type codec struct{}

var _ scs.Codec = codec{}

// wireRecord is a [Record] as stored. Times are Unix milliseconds.
type wireRecord struct {
	Version  int               `json:"v"`
	Created  int64             `json:"created"`
	Seen     int64             `json:"seen"`
	Deadline int64             `json:"ends"`
	Member   *wireMember       `json:"member,omitempty"`
	Values   map[string]string `json:"values,omitempty"`
	Notices  []wireNotice      `json:"notices,omitempty"`
}

type wireMember struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Start    int64  `json:"start"`
	Device   string `json:"device"`
	Remember bool   `json:"remember,omitempty"`
}

type wireNotice struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Encode implements [scs.Codec].
func (codec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	record, ok := values[recordKey].(Record)
	if !ok {
		return nil, errors.New("encode session: no record in it")
	}
	record.Deadline = deadline
	return encodeRecord(record)
}

// Decode implements [scs.Codec]; its error wraps errUnreadable.
func (codec) Decode(stored []byte) (time.Time, map[string]any, error) {
	record, err := decodeRecord(stored)
	if err != nil {
		return time.Time{}, nil, err
	}
	return record.Deadline, map[string]any{recordKey: record}, nil
}

func encodeRecord(r Record) ([]byte, error) {
	wire := wireRecord{
		Version:  recordVersion,
		Created:  r.Created.UnixMilli(),
		Seen:     r.Seen.UnixMilli(),
		Deadline: r.Deadline.UnixMilli(),
		Member:   (*wireMember)(r.Member),
		Values:   r.Values,
	}
	for _, notice := range r.Notices {
		wire.Notices = append(wire.Notices, wireNotice(notice))
	}
	return json.Marshal(wire)
}

func decodeRecord(stored []byte) (Record, error) {
	var wire wireRecord
	if err := json.Unmarshal(stored, &wire); err != nil {
		return Record{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if wire.Version != recordVersion {
		return Record{}, fmt.Errorf("%w: version %d, this server knows %d", errUnreadable, wire.Version, recordVersion)
	}
	if wire.Created <= 0 || wire.Seen <= 0 || wire.Deadline <= 0 {
		return Record{}, fmt.Errorf("%w: a time is missing", errUnreadable)
	}
	if wire.Member != nil && (wire.Member.ID == "" || wire.Member.Name == "") {
		return Record{}, fmt.Errorf("%w: a member without id or name", errUnreadable)
	}
	record := Record{
		Created:  time.UnixMilli(wire.Created).UTC(),
		Seen:     time.UnixMilli(wire.Seen).UTC(),
		Deadline: time.UnixMilli(wire.Deadline).UTC(),
		Member:   (*Member)(wire.Member),
		Values:   wire.Values,
	}
	for _, notice := range wire.Notices {
		record.Notices = append(record.Notices, Notice(notice))
	}
	return record, nil
}
