package main

import (
	"bytes"
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/dev/require"
)

func TestTheProgramHashesAtTheStatedCost(t *testing.T) {
	hash, err := newHasher(config.Config{}).Hash(t.Context(), "granite swims seven leagues")
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; err != nil || !strings.HasPrefix(hash, want) {
		t.Errorf("hash %q, %v, want %s...", hash, err, want)
	}
}

func TestAsManyPasswordsAreHashedAtOnceAsIsSet(t *testing.T) {
	for _, setting := range []string{"1", "3"} {
		_, cfg, err := config.Parse([]string{"--password-hash-concurrency=" + setting}, func(string) string { return "" }, "", new(bytes.Buffer))
		require.NoError(t, err)
		if slots := newHasher(cfg).Slots(); slots != cfg.PasswordHashConcurrency {
			t.Errorf("PASSWORD_HASH_CONCURRENCY=%s: %d at once", setting, slots)
		}
	}
}
