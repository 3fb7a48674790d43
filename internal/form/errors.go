package form

import "strings"

// FieldError says what is wrong with one field and what to do about it, in
// words for the person who filled it in.
type FieldError struct{ Field, Message string }

// Errors is what the person can mend, in the order of the fields on the page.
// As an error it is found with errors.As; an empty list is not an error, see
// [Errors.Err].
type Errors []FieldError

// Add appends a message for a field.
func (e *Errors) Add(field, message string) {
	*e = append(*e, FieldError{field, message})
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

// Err returns e, or nil when nothing is wrong. Return this, not e itself: an
// empty list in an error variable is not nil.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Error names the fields only, so that nothing a person typed reaches a log.
func (e Errors) Error() string {
	fields := make([]string, len(e))
	for i, fe := range e {
		fields[i] = fe.Field
	}
	return "form fields to mend: " + strings.Join(fields, ", ")
}
