package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/joho/godotenv"
)

// readDotenv returns the values in the file; a file that does not exist, such as "",
// counts as empty. An error names file and line but never repeats their text: godotenv's
// own message would, passwords included.
func readDotenv(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	// Windows PowerShell 5 writes UTF-16 with >.
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("read %s: file is UTF-16; save it as UTF-8", path)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	values, ok := parseDotenv(data)
	if !ok {
		return nil, fmt.Errorf("read %s, line %d: must be NAME=value, a # comment or empty (check for an unclosed quote)", path, brokenLine(data))
	}
	return values, nil
}

func parseDotenv(data []byte) (map[string]string, bool) {
	// Without a final newline, a last line without = would be accepted.
	values, err := godotenv.UnmarshalBytes(append(bytes.Clone(data), '\n'))
	if _, nameless := values[""]; err != nil || nameless {
		return nil, false
	}
	return values, true
}

// brokenLine returns the number of the first line that cannot be read: the one after
// the longest readable prefix of the file. (A value in quotes may span lines, so an
// unreadable prefix may become readable later.)
func brokenLine(data []byte) int {
	line, number, end := 1, 0, 0
	for text := range bytes.Lines(data) {
		end += len(text)
		number++
		if _, ok := parseDotenv(data[:end]); ok {
			line = number + 1
		}
	}
	return line
}
