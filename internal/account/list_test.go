package account_test

import (
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
)

func TestAListIsNoLongerThanItsLimit(t *testing.T) {
	db := testkit.OpenDatabase(t, testkit.SQLite(t))
	_, err := db.SQL().ExecContext(t.Context(), `
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO people (id, name, email, email_key, password_hash, created_ms)
SELECT printf('%022d', i), 'Ada', printf('person%04d@example.org', i), printf('person%04d@example.org', i),
  '$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA', 1
FROM n`)
	require.NoError(t, err)
	s := serve(db.People())
	for limit, want := range map[int]int{-1: 1, 1: 1, 1000: 1000, 5000: 1000} {
		if page, _, err := s.List(t.Context(), "", limit); err != nil || len(page) != want {
			t.Errorf("at most %d: %d people, %v; want %d", limit, len(page), err, want)
		}
	}
}
