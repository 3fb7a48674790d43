//go:build unix

package main_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
)

// filesBelow returns the files below folder by their relative paths. It fails the test
// if others can read one of them.
func filesBelow(t testing.TB, folder string) map[string]bool {
	t.Helper()
	files := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // renamed or removed since it was listed
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %s", name, info.Mode())
		}
		files[filepath.ToSlash(name)] = true
		return err
	})
	require.NoError(t, err)
	return files
}

func TestServersInFoldersBesideEachOtherShareNoSession(t *testing.T) {
	t.Parallel()
	each(t, map[string][2]string{
		"a fragment": {"holdfast#1", "holdfast#2"},
		"a query":    {"holdfast?1", "holdfast?2"},
		"an escape":  {"%41", "A"},
	}, func(t *testing.T, _ string, folders [2]string) {
		parent := t.TempDir()
		first, second := startIn(t, filepath.Join(parent, folders[0]), nil), startIn(t, filepath.Join(parent, folders[1]), nil)
		ada, bea := member(t, first), member(t, second)
		mustBe(t, asked, ada.at(second.URL), "at the other server")
		mustBe(t, asked, bea.at(first.URL), "at the other server")
		files := filesBelow(t, parent)
		for _, folder := range folders {
			if data := folder + "/.data/redis.db"; !files[data] {
				t.Errorf("%s is missing", data)
			}
		}
		for name := range files {
			if folder, _, _ := strings.Cut(name, "/"); folder != folders[0] && folder != folders[1] {
				t.Errorf("%s is outside both folders", name)
			}
		}
		first.Stop()
		first.Start()
		mustBe(t, greeted, ada, "after a restart")
		mustBe(t, asked, ada.at(second.URL), "at the other server")
	})
}

func TestEveryStoreWorksWhateverItsFolderIsCalled(t *testing.T) {
	t.Parallel()
	const longest = 504 // bytes in the longest path that SQLite opens
	names := []string{"a b", `it's "q"x`, "Größe 日本", "a#b?c%41", "%zz%00", "x&y;z:w=[a]*", "-rf", "file:x", "long"}
	each(t, map[string]string{"redis": "redis.db", "file": "sessions.bolt", "database": "holdfast.db", "memory": "holdfast.db"}, func(t *testing.T, store string, file string) {
		survives := greeted
		if store == "memory" {
			survives = asked
		}
		for _, name := range sample(names, 3) {
			parent := t.TempDir()
			folder, dataDir := filepath.Join(parent, "in "+name), name
			if name == "long" {
				for len(folder)+len("/"+name+"/holdfast.db")+201 <= longest {
					folder = filepath.Join(folder, strings.Repeat("d", 200))
				}
				rest := longest - len(folder) - len("//holdfast.db")
				dataDir = strings.Repeat("e", rest)
			}
			server := startIn(t, folder, testprocess.Settings{"SESSION_STORE": store, "DATA_DIR": dataDir})
			v := member(t, server)
			server.Stop()
			server.Start()
			if err := survives(v); err != nil {
				t.Errorf("%q: after a restart: %v", name, err)
			}
			testkit.Eventually(t, answerLimit, "keep the mail to "+v.email, func() error {
				entries, err := os.ReadDir(filepath.Join(folder, dataDir, "mail"))
				if err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return filepath.Ext(e.Name()) == ".eml" }) {
					err = errors.New("no mail")
				}
				return err
			})
			found := filesBelow(t, folder)
			for path := range found {
				if !strings.HasPrefix(path, dataDir+"/") {
					t.Errorf("%q: %s is outside DATA_DIR", name, path)
				}
			}
			for _, path := range []string{dataDir + "/holdfast.db", dataDir + "/" + file} {
				if !found[path] {
					t.Errorf("%q: %s is missing", name, path)
				}
			}
			if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
				t.Errorf("%q: %d files beside the folder, %v", name, len(entries), err)
			}
			server.Stop()
		}
	})
}

func TestTheRevocationQueueIsInAFolderOfAnyName(t *testing.T) {
	t.Parallel()
	settings := onServices("", testkit.Postgres(t).URL)
	settings["DATA_DIR"] = "a#b?c%41 'x'"
	server := start(t, settings)
	ada := member(t, server)
	query(t, settings["DATABASE_URL"],
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	ada.logOut()
	if files := filesBelow(t, server.Dir); !files[settings["DATA_DIR"]+"/revocations.db"] {
		t.Errorf("no queue among %v", files)
	}
}

func TestAPathTooLongForSQLiteIsRefusedInWords(t *testing.T) {
	t.Parallel()
	dataDir := filepath.Join(strings.Repeat("d", 250), strings.Repeat("e", 250))
	mustName(t, refused(t, t.TempDir(), testprocess.Settings{"DATA_DIR": dataDir}), "SQLite opens at most 504")
}

func TestDataOfAnEarlierReleaseOutsideItsFolderIsReportedAndNotRead(t *testing.T) {
	t.Parallel()
	type outside struct {
		folder, shared string // shared is where earlier releases kept the sessions of that folder
		again          bool   // whether the next start reports it too
	}
	each(t, map[string]outside{
		"a fragment": {"holdfast#1", "holdfast", true},
		"a query":    {"holdfast?1", "holdfast", true},
		"an escape":  {"%41", filepath.Join("A", ".data", "redis.db"), false}, // belongs to folder A from now on
	}, func(t *testing.T, what string, c outside) {
		parent := t.TempDir()
		shared, own := filepath.Join(parent, c.shared), filepath.Join(parent, c.folder, ".data", "redis.db")
		old := startIn(t, filepath.Join(parent, "old"), nil)
		ada := member(t, old)
		old.Stop()
		for _, file := range []string{shared, own} {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		}
		require.NoError(t, os.Rename(filepath.Join(old.Dir, ".data", "redis.db"), shared))
		if err := os.WriteFile(own, nil, 0o600); err != nil { // earlier releases left it empty
			t.Fatal(err)
		}
		before, err := os.ReadFile(shared)
		require.NoError(t, err)
		server := startIn(t, filepath.Join(parent, c.folder), nil)
		mustBe(t, asked, ada.at(server.URL), "with a session in the file outside")
		mustLog(t, server, `level=WARN msg="data of an earlier release ignored: outside its directory`, shared)
		server.Stop()
		server.Start()
		if c.again {
			mustLog(t, server, shared)
		} else if strings.Contains(server.Log(), shared) {
			t.Errorf("reported by the next start:\n%s", server.Log())
		}
		server.Stop()
		if after, err := os.ReadFile(shared); err != nil || string(after) != string(before) {
			t.Errorf("the file outside was changed (%v)", err)
		}
		require.NoError(t, os.Remove(shared))
		server.Start()
		if strings.Contains(server.Log(), shared) {
			t.Errorf("the log reports what is gone:\n%s", server.Log())
		}
	})
}
