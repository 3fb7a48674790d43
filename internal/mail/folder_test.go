package mail_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/mail"
)

func TestMailInFilesIsRemovedAfterThirtyDaysAndNothingElseIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	folder := mail.NewFolder(dir, "Holdfast <holdfast@localhost>", slog.New(slog.DiscardHandler))
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	if err := folder.Prune(t.Context(), now); err != nil {
		t.Errorf("with no folder yet: %v", err)
	}
	const day = 24 * time.Hour
	for name, age := range map[string]time.Duration{"new": 0, "kept": 30*day - time.Second, "old": 30*day + time.Second, "oldest": 4000 * day} {
		m := mail.Message{
			ID: name, To: "ada@kelp.example", ListedAs: "reset", Date: now.Add(-age),
			Subject: name, Text: "Text.\n", HTML: "<p>Text.</p>",
		}
		require.NoError(t, folder.Send(t.Context(), m))
	}
	for name, age := range map[string]time.Duration{".mail-1": 31 * day, ".mail-2": 29 * day} {
		path := filepath.Join(dir, name)
		require.NoError(t, errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, now.Add(-age), now.Add(-age))))
	}
	others := []string{"19990101T000000.000-by-hand.txt", "notes.eml", "20010101T000000.000-folder.eml"}
	for _, name := range others[:2] {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, others[2]), 0o700))
	for range 2 {
		require.NoError(t, folder.Prune(t.Context(), now))
	}
	want := append(others, ".mail-2", "20260331T120000.000-reset-new.eml", "20260301T120001.000-reset-kept.eml")
	slices.Sort(want)
	if left := filesIn(t, dir); !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}

// filesIn returns the sorted names of the files in a directory.
func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestAnEmailInAFileIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	folder := mail.NewFolder(t.TempDir(), `"Höld, fast" <holdfast@localhost>`, slog.New(slog.DiscardHandler))
	want := mail.Shown{
		From: "Höld, fast <holdfast@localhost>", To: "ada@exämple.org", Subject: "Grüße – " + strings.Repeat("und noch mehr ", 9) + "✓",
		Date: time.Date(2026, 11, 20, 18, 4, 5, 0, time.UTC), Text: "Grüße = ✓\n\nGo:\nhttp://localhost/reset?token=abc=3D\n\n" + strings.Repeat("ünï ", 99) + "\n.\n",
	}
	message := mail.Message{ID: "id", To: want.To, Subject: want.Subject, Text: want.Text, HTML: "<p>Grüße</p>", Date: want.Date, ListedAs: "test"}
	if err := folder.Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	got, err := folder.Latest()
	if err != nil || len(got) != 1 || !got[0].Date.Equal(want.Date) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Date = want.Date; got[0] != want {
		t.Errorf("read %+v, want %+v", got[0], want)
	}
}

// TestADeletionRemovesTheEmailsToItsAddressAlone uses a directory with special
// characters in its name and a foreign file in it.
func TestADeletionRemovesTheEmailsToItsAddressAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*?")
	folder := mail.NewFolder(dir, "login@kelp.example", slog.New(slog.DiscardHandler))
	send := func(to, kind string) {
		t.Helper()
		require.NoError(t, folder.Send(t.Context(), mail.Message{ID: to + kind, To: to, Subject: "S", Text: "T", Date: time.Now(), ListedAs: kind}))
	}
	send("ada@kelp.example", "reset")
	send("bea@kelp.example", "reset")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.eml"), []byte("no email"), 0o600))
	send("ada@kelp.example", "deleted")
	var left []string
	for _, name := range filesIn(t, dir) {
		_, kind, _ := strings.Cut(name, "-")
		left = append(left, kind)
	}
	slices.Sort(left)
	if want := []string{"", "deleted-ada@kelp.exampledeleted.eml", "reset-bea@kelp.examplereset.eml"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}
