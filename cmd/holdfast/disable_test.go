package main_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// TestAPersonIsDisabledBeforeTheirSessionsEnd: in the other order, a login between the
// two steps would keep its session.
func TestAPersonIsDisabledBeforeTheirSessionsEnd(t *testing.T) {
	t.Parallel()
	postgres := testkit.Postgres(t)
	server := start(t, onServices(testservice.Redis(t).URL, postgres.URL))
	ada := member(t, server)
	query(t, postgres.URL,
		`CREATE TABLE noted (disabled BOOLEAN NOT NULL)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO noted SELECT disabled_ms IS NOT NULL FROM people WHERE id = NEW.person_id; RETURN NEW; END $$`,
		`CREATE TRIGGER note AFTER UPDATE OF ended_ms ON devices FOR EACH ROW EXECUTE FUNCTION note()`)
	mustSucceed(t, testprocess.Run(t, program(t), t.TempDir(), server.Settings(), "users", "disable", "--email", ada.email), "Sessions revoked: 1")
	conn, err := pgx.Connect(t.Context(), postgres.URL)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	var ended, disabled int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE disabled) FROM noted`).Scan(&ended, &disabled))
	if ended != 1 || disabled != 1 {
		t.Errorf("%d sessions ended, %d of them of a person disabled by then", ended, disabled)
	}
	mustBe(t, asked, ada, "disabled")
}
