package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"mime"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"holdfast/internal/account"
)

// Folder writes each email to a file, for servers without a mail server.
type Folder struct {
	dir  string
	from string
	log  *slog.Logger
}

// NewFolder returns the transport into a directory, which the first email creates.
func NewFolder(dir, from string, log *slog.Logger) *Folder {
	return &Folder{dir: dir, from: from, log: log}
}

// Warnings implements [Transport].
func (f *Folder) Warnings() []string { return nil }

// Send implements [Transport]. A file is written completely or not at all.
func (f *Folder) Send(ctx context.Context, m Message) error {
	from, err := parseSender(f.from)
	if err != nil {
		return err
	}
	message, err := compose(m, from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("create email directory: %w", err)
	}
	temporary, err := os.CreateTemp(f.dir, unfinished+"*") // 0600
	if err != nil {
		return fmt.Errorf("write email: %w", err)
	}
	defer os.Remove(temporary.Name())
	_, err = message.WriteTo(temporary)
	err = errors.Join(err, temporary.Close())
	path := filepath.Join(f.dir, m.Date.UTC().Format(timeInName)+"-"+m.ListedAs+"-"+m.ID+suffix)
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write email: %w", err)
	}
	f.log.InfoContext(ctx, "email written to a file: SMTP_URL is not set", "file", path)
	if m.ListedAs == string(account.EmailDeleted) {
		f.forget(ctx, m.To, path)
	}
	return nil
}

// forget deletes the emails to the address of a deleted account, except for the last.
// It logs what it cannot read or delete; Prune deletes that later.
func (f *Folder) forget(ctx context.Context, address, last string) {
	entries, err := os.ReadDir(f.dir)
	gone, _ := account.EmailKey(address)
	for _, entry := range entries {
		path := filepath.Join(f.dir, entry.Name())
		if path == last || filepath.Ext(path) != suffix {
			continue
		}
		shown, failed := readFile(path)
		if to, _ := account.EmailKey(shown.To); failed == nil && to == gone {
			failed = os.Remove(path)
		}
		if !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		f.log.WarnContext(ctx, "emails of a deleted account not all deleted", "cause", err)
	}
}

const (
	suffix     = ".eml"
	unfinished = ".mail-"              // prefix of an email that is being written
	timeInName = "20060102T150405.000" // UTC
)

// keepFor is how long an email is kept in its file: longer than its links are valid,
// but not so long that the files become a history of who received which email.
const keepFor = 30 * 24 * time.Hour

// Prune deletes emails older than 30 days, and only files that Send has written.
// Call it once a day; any number of instances may do so at the same time.
func (f *Folder) Prune(ctx context.Context, now time.Time) error {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read email directory: %w", err)
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !entry.Type().IsRegular() || !old(entry, now) {
			continue
		}
		err := os.Remove(filepath.Join(f.dir, entry.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete old email: %w", err)
		}
	}
	return nil
}

// old reports whether a file is an email older than keepFor, or an unfinished one
// whose writer was killed that long ago.
func old(entry fs.DirEntry, now time.Time) bool {
	if strings.HasPrefix(entry.Name(), unfinished) {
		info, err := entry.Info()
		return err == nil && now.Sub(info.ModTime()) > keepFor
	}
	stamp, _, _ := strings.Cut(entry.Name(), "-")
	date, err := time.Parse(timeInName, stamp)
	return err == nil && now.Sub(date) > keepFor && filepath.Ext(entry.Name()) == suffix
}

// Shown is an email in the directory, as a mail client shows it.
type Shown struct {
	From, To, Subject string
	Date              time.Time
	Text              string
}

// MaxShown is the most emails that [Folder.Latest] reads.
const MaxShown = 20

// Latest returns the latest emails, newest first, at most [MaxShown].
func (f *Folder) Latest() ([]Shown, error) {
	names, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read email directory: %w", err)
	}
	var all []Shown
	for _, name := range slices.Backward(names) { // which begin with the time
		if !strings.HasSuffix(name.Name(), suffix) || len(all) == MaxShown {
			continue
		}
		shown, err := readFile(filepath.Join(f.dir, name.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed in the meantime
		}
		if err != nil {
			return nil, err
		}
		all = append(all, shown)
	}
	return all, nil
}

func readFile(path string) (Shown, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return Shown{}, fmt.Errorf("read email: %w", err)
	}
	shown, err := read(string(source))
	if err != nil {
		return Shown{}, fmt.Errorf("read email %s: %w", filepath.Base(path), err)
	}
	return shown, nil
}

// read parses an email in the form that compose writes, and returns its text part.
func read(source string) (Shown, error) {
	message, err := gomail.EMLToMsgFromString(source)
	if err != nil {
		return Shown{}, err
	}
	from, to := message.GetFrom(), message.GetTo()
	subject, wrong := new(mime.WordDecoder).DecodeHeader(strings.Join(message.GetGenHeader(gomail.HeaderSubject), ""))
	date, err := netmail.ParseDate(strings.Join(message.GetGenHeader(gomail.HeaderDate), ""))
	if err := errors.Join(wrong, err); err != nil || len(from) != 1 || len(to) != 1 {
		return Shown{}, cmp.Or(err, errors.New("it has not one sender and one recipient"))
	}
	for _, part := range message.GetParts() {
		if part.GetContentType() == gomail.TypeTextPlain {
			text, err := part.GetContent()
			return Shown{
				From: written(from[0]), To: written(to[0]), Subject: subject, Date: date,
				Text: strings.ReplaceAll(string(text), "\r\n", "\n"),
			}, err
		}
	}
	return Shown{}, errors.New("it has no text")
}

// written returns an address as people write it.
func written(a *netmail.Address) string {
	read, _ := account.ParseAddress(a.Address)
	address := cmp.Or(read.Email, a.Address)
	if a.Name == "" {
		return address
	}
	return a.Name + " <" + address + ">"
}
