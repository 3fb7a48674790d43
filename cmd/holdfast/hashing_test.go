package main

import (
	"bytes"
	"testing"

	"holdfast/internal/config"
)

func TestAsManyPasswordsAreHashedAtOnceAsIsSet(t *testing.T) {
	for _, setting := range []string{"1", "3"} {
		_, cfg, err := config.Parse([]string{"--password-hash-concurrency=" + setting}, func(string) string { return "" }, "", new(bytes.Buffer))
		if err != nil {
			t.Fatal(err)
		}
		if slots := newHasher(cfg).Slots(); slots != cfg.PasswordHashConcurrency {
			t.Errorf("PASSWORD_HASH_CONCURRENCY=%s: %d at once", setting, slots)
		}
	}
}
