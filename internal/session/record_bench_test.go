package session

import (
	"testing"
	"time"

	"holdfast/internal/dev/require"
)

const benchKey = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"

func benchRecord() Record {
	now := time.UnixMilli(1_800_000_000_000).UTC()
	return Record{
		CreatedAt:  now,
		LastSeenAt: now.Add(time.Hour),
		ExpiresAt:  now.Add(7 * 24 * time.Hour),
		Member:     &Member{ID: "AAAAAAAAAAAAAAAAAAAAAA", Name: "Ada Lovelace", Start: 12, Device: "BBBBBBBBBBBBBBBB"},
	}
}

func BenchmarkEncodeRecord(b *testing.B) {
	record := benchRecord()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodeRecord(benchKey, record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	stored, err := EncodeRecord(benchKey, benchRecord())
	require.NoError(b, err)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRecord(stored); err != nil {
			b.Fatal(err)
		}
	}
}
