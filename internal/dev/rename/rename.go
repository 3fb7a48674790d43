package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// names are the three names of a product.
type names struct{ Name, Slug, Module string }

var (
	nameShape   = regexp.MustCompile(`^\p{L}([\p{L}\p{N} .-]*[\p{L}\p{N}])?$`)
	slugShape   = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)
	moduleShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9._~-]*[a-z0-9])?(/[A-Za-z0-9]([A-Za-z0-9._~-]*[A-Za-z0-9])?)*$`)
)

func (n names) check() error {
	var problems []error
	if !nameShape.MatchString(n.Name) {
		problems = append(problems, errors.New("-name must start with a letter and contain only letters, digits, spaces, dots and dashes"))
	}
	if !slugShape.MatchString(n.Slug) {
		problems = append(problems, errors.New("-slug must start with a letter and contain at most 32 characters from a-z and 0-9"))
	}
	if !moduleShape.MatchString(n.Module) {
		problems = append(problems, errors.New("-module must be a Go module path, such as example.com/kelp/seafarer"))
	}
	return errors.Join(problems...)
}

// identifier returns the name as part of a Go identifier: "Sea Farer" becomes SeaFarer.
func (n names) identifier() string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(n.Name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// original holds the names in this repository.
var original = names{"Holdfast", "holdfast", "holdfast"}

// checkOriginal fails unless the code below top has its original names. Other names
// may be ordinary words elsewhere in the code.
func checkOriginal(top string) error {
	text, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err == nil && !bytes.HasPrefix(text, []byte("module "+original.Module+"\n")) {
		err = fmt.Errorf("this code is no longer called %s; only %s can be renamed, because other names may match unrelated words",
			original.Name, original.Name)
	}
	return err
}

// left lists files and folders that keep the name: they are about Holdfast, the origin
// of this code, or are not text.
var left = []string{".git", ".data", ".env", "LICENSE", "go.sum", "docs/pictures", "docs/make-it-yours.md", "internal/dev/rename"}

type outcome struct {
	files   int
	meaning []string // lines that explain the old name, as "file:line: text"
}

// rename changes every file below top.
func rename(top string, to names) (outcome, error) {
	var done outcome
	change := changer(to)
	err := filepath.WalkDir(top, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(top, at)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		if slices.Contains(left, file) && entry.IsDir() {
			return fs.SkipDir
		}
		if slices.Contains(left, file) || !entry.Type().IsRegular() {
			return nil
		}
		before, err := os.ReadFile(at)
		if err != nil || bytes.IndexByte(before, 0) >= 0 {
			return err
		}
		after, err := change(file, before)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		done.meaning = append(done.meaning, meaning(file, before)...)
		if bytes.Equal(before, after) {
			return nil
		}
		done.files++
		return os.WriteFile(at, after, 0o644) // keeps the mode of an existing file
	})
	if err != nil {
		return done, err
	}
	return done, os.Rename(filepath.Join(top, "cmd", original.Slug), filepath.Join(top, "cmd", to.Slug))
}

// changer returns the function that changes one file.
func changer(to names) func(file string, text []byte) ([]byte, error) {
	// Match only the first part of an import path, so not cmd/holdfast/web.
	imports := regexp.MustCompile(`(^|[^\w/.-])` + original.Module + `/(cmd|internal|migrations|static|templates|web)\b`)
	module := regexp.MustCompile(`(?m)^module ` + original.Module + `$`)
	// A mark that does not occur in text protects the new path from a second
	// replacement.
	const mark = "\x00"
	prose := strings.NewReplacer(
		original.Name, to.Name, strings.ToUpper(original.Slug), strings.ToUpper(to.Slug), original.Slug, to.Slug, mark, to.Module)
	code := strings.NewReplacer(original.Name, to.identifier(), strings.ToUpper(original.Slug), strings.ToUpper(to.Slug), original.Slug, to.Slug)
	return func(file string, text []byte) ([]byte, error) {
		text = imports.ReplaceAll(text, []byte("${1}"+mark+"/$2"))
		text = module.ReplaceAll(text, []byte("module "+mark))
		if path.Ext(file) != ".go" {
			return []byte(prose.Replace(string(text))), nil
		}
		if file == "internal/product/product.go" {
			text = regexp.MustCompile(`(\tCookiePrefix = )".*"`).ReplaceAll(text, []byte(`${1}"`+to.Slug+`-"`))
		}
		// A longer name changes what gofmt aligns, and a new path changes the order of
		// imports.
		return format.Source(changeGo(text, code.Replace, prose.Replace))
	}
}

// changeGo changes Go identifiers in one way, and comments and strings in another.
func changeGo(text []byte, identifier, prose func(string) string) []byte {
	var s scanner.Scanner
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(text))
	s.Init(file, text, nil, scanner.ScanComments)
	var out bytes.Buffer
	end := 0
	for {
		position, kind, literal := s.Scan()
		if kind == token.EOF {
			break
		}
		if kind != token.IDENT && kind != token.STRING && kind != token.COMMENT {
			continue
		}
		begin := file.Offset(position)
		out.Write(text[end:begin])
		end = begin + len(literal)
		// The scanner removes carriage returns from the literal of a raw string or
		// comment.
		if end > len(text) || string(text[begin:end]) != literal {
			end = begin
			continue
		}
		if kind == token.IDENT {
			out.WriteString(identifier(literal))
		} else {
			out.WriteString(prose(literal))
		}
	}
	out.Write(text[end:])
	return out.Bytes()
}

// meaning finds lines that explain the name, which no rename can change.
func meaning(file string, text []byte) []string {
	var found []string
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if regexp.MustCompile(`(?i)\ba \*?` + original.Slug + `\*? is\b`).MatchString(line) {
			found = append(found, fmt.Sprintf("%s:%d: %s", file, number, strings.TrimSpace(line)))
		}
	}
	return found
}
