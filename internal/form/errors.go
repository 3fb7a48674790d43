package form

import "strings"

// FieldError says what is wrong with one field and what to do about it, in words for
// the user.
type FieldError struct{ Field, Message string }

// Errors lists what the user can correct, in the order of the fields on the page. Find
// it in an error with errors.As. An empty list is not an error; see [Errors.Err].
type Errors []FieldError

// Add appends a message for a field.
func (e *Errors) Add(field, message string) {
	*e = append(*e, FieldError{field, message})
}

// Require adds a message for a field whose value is empty.
func (e *Errors) Require(value, field, message string) {
	if value == "" {
		e.Add(field, message)
	}
}

// Of returns the first message for a field, or "".
func (e Errors) Of(field string) string {
	for _, fe := range e {
		if fe.Field == field {
			return fe.Message
		}
	}
	return ""
}

// Err returns e, or nil if it is empty. Return this, not e itself: an empty list in an
// error variable is not nil.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Error names only the fields, so that nothing that a person typed gets into a log.
func (e Errors) Error() string {
	fields := make([]string, len(e))
	for i, fe := range e {
		fields[i] = fe.Field
	}
	return "form fields to mend: " + strings.Join(fields, ", ")
}
