package reachback

import (
	"errors"
	"fmt"
)

// A Code names one cause of a refusal or of an end. Codes are part of the
// protocol: SPEC.md has the table of all of them with cause and remedy, and
// they do not change once released.
type Code string

// An Error is a refusal with its code, as it travels between programs. Message
// is a short fixed text for people; it never holds a secret or another
// program's error text.
type Error struct {
	Code          Code   `json:"code"`
	Message       string `json:"message"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Code)
	}
	return fmt.Sprintf("%s (%s)", e.Message, e.Code)
}

// Is reports whether target is an *Error with the same code, so that
// errors.Is(err, &Error{Code: CodeNoHost}) works at any depth.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Refuse returns the [Error] with that code and the code's own text as message.
func Refuse(c Code) *Error { return &Error{Code: c, Message: c.Text()} }

// CodeOf returns the code of the first [Error] in err's tree, [CodeInternal]
// for any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// AsError returns the first [Error] in err's tree, or one with
// [CodeInternal] that tells nothing of err.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Refuse(CodeInternal)
}
