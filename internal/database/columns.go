package database

import (
	"encoding/json"
	"fmt"
	"time"
)

// millis is a time in a column of Unix milliseconds; NULL is the zero time.
type millis time.Time

// Scan implements [sql.Scanner].
func (m *millis) Scan(value any) error {
	switch ms := value.(type) {
	case nil:
		*m = millis{}
	case int64:
		*m = millis(time.UnixMilli(ms).UTC())
	default:
		return fmt.Errorf("a time is stored as %T", value)
	}
	return nil
}

// fromJSON reads a JSON column into a value.
type fromJSON struct{ value any }

// Scan implements [sql.Scanner].
func (j fromJSON) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("JSON is stored as %T", value)
	}
	return json.Unmarshal([]byte(text), j.value)
}

// jsonTexts returns the argument of JSON_TEXTS.
func jsonTexts(texts []string) string {
	array, _ := json.Marshal(texts) // cannot fail for a slice of strings
	return string(array)
}
