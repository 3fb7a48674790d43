package session

import (
	"testing"
	"time"
)

func benchRecord() Record {
	now := time.UnixMilli(1_800_000_000_000).UTC()
	return Record{
		Created:  now,
		Seen:     now.Add(time.Hour),
		Deadline: now.Add(7 * 24 * time.Hour),
		Member:   &Member{ID: "AAAAAAAAAAAAAAAAAAAAAA", Name: "Ada Lovelace", Start: 12, Device: "BBBBBBBBBBBBBBBB"},
	}
}

func BenchmarkEncodeRecord(b *testing.B) {
	record := benchRecord()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encodeRecord(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	stored, err := encodeRecord(benchRecord())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeRecord(stored); err != nil {
			b.Fatal(err)
		}
	}
}
