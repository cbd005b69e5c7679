// Package strictjson decodes JSON that people write: what nobody would read is
// refused, with the line that it stands on.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Lines maps places such as "pools[0].name" to the lines that they stand on.
type Lines map[string]int

// Of returns the line of a place, or of the nearest one around it that stands in
// the text.
func (l Lines) Of(place string) int {
	for place != "" {
		if n, ok := l[place]; ok {
			return n
		}
		place = place[:max(strings.LastIndexByte(place, '.'), strings.LastIndexByte(place, '['), 0)]
	}
	return 1
}

// Decode decodes data into v, a pointer to a struct whose fields all have json tags.
// Unlike encoding/json it refuses unknown keys, duplicate keys, and keys in another
// case. Errors begin with "line 3:", and have no prefix of this package.
func Decode(data []byte, v any) (Lines, error) {
	w := &walker{dec: json.NewDecoder(bytes.NewReader(data)), data: data, lines: Lines{}}
	if err := w.value(reflect.TypeOf(v).Elem(), "", 0); err != nil {
		return nil, err
	}
	if _, err := w.dec.Token(); err != io.EOF {
		return nil, w.errorf("something follows the end")
	}
	if err := json.Unmarshal(data, v); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, fmt.Errorf("line %d: %s: a %s cannot stand here", lineAt(data, te.Offset), te.Field, te.Value)
		}
		return nil, err
	}
	return w.lines, nil
}

// A walker goes through a JSON text beside the type that it is meant for.
type walker struct {
	dec   *json.Decoder
	data  []byte
	lines Lines

	offset int64 // up to which line breaks have been counted
	breaks int
}

// line returns the line that the walker is on.
func (w *walker) line() int {
	to := min(w.dec.InputOffset(), int64(len(w.data)))
	w.breaks += bytes.Count(w.data[w.offset:to], []byte("\n"))
	w.offset = to
	return w.breaks + 1
}

const maxDepth = 16

func (w *walker) value(t reflect.Type, place string, depth int) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if depth > maxDepth {
		return w.errorf("nested too deeply")
	}
	tok, err := w.dec.Token()
	if err != nil {
		if err == io.EOF {
			return w.errorf("the text ends too soon")
		}
		if se, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("line %d: %w", lineAt(w.data, se.Offset), se)
		}
		return w.errorf("%v", err)
	}
	w.lines[place] = w.line()
	switch tok {
	case json.Delim('{'):
		return w.object(t, place, depth)
	case json.Delim('['):
		elem := t
		if t.Kind() == reflect.Slice {
			elem = t.Elem()
		}
		for i := 0; w.dec.More(); i++ {
			if err := w.value(elem, fmt.Sprintf("%s[%d]", place, i), depth+1); err != nil {
				return err
			}
		}
		return w.end()
	}
	return nil
}

func (w *walker) object(t reflect.Type, place string, depth int) error {
	seen := map[string]bool{}
	for w.dec.More() {
		tok, err := w.dec.Token()
		if err != nil {
			return w.errorf("%v", err)
		}
		key, ok := tok.(string)
		if !ok {
			return w.errorf("a key is missing")
		}
		if seen[key] {
			return w.errorf("the key %q stands twice", key)
		}
		seen[key] = true
		sub, ok := fieldType(t, key)
		if !ok {
			return w.errorf("unknown key %q", key)
		}
		under := key
		if place != "" {
			under = place + "." + key
		}
		if err := w.value(sub, under, depth+1); err != nil {
			return err
		}
	}
	return w.end()
}

func (w *walker) end() error {
	if _, err := w.dec.Token(); err != nil {
		if err == io.EOF {
			return w.errorf("the text ends too soon")
		}
		return w.errorf("%v", err)
	}
	return nil
}

func (w *walker) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", w.line(), fmt.Sprintf(format, args...))
}

// fieldType returns the type of what may stand under key in a t. Where t is
// neither struct nor map any key passes, and decoding refuses the object itself.
func fieldType(t reflect.Type, key string) (reflect.Type, bool) {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), true
	case reflect.Struct:
		for f := range t.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name == key && name != "-" {
				return f.Type, true
			}
		}
		return nil, false
	}
	return t, true
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}
