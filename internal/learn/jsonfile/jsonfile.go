// Package jsonfile keeps a value in a file, as JSON, so that it survives the server. It
// must not know what the value is.
package jsonfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path atomically: no reader sees a partial file.
func Write(path string, value any) error {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	part := path + ".part"
	if err == nil {
		err = os.WriteFile(part, encoded, 0o600)
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", filepath.Base(path), err)
	}
	return nil
}

// Read reads the file at path into value. A missing file leaves value as it is.
func Read(path string, value any) error {
	encoded, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(encoded, value)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return nil
}
