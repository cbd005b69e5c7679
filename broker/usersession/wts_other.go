//go:build !windows

package usersession

import (
	"errors"
	"fmt"
)

var errNotWindows = fmt.Errorf("there are no Remote Desktop Services here: %w", errors.ErrUnsupported)

func wtsSessions() ([]wtsSession, error)             { return nil, errNotWindows }
func wtsDisconnect(id uint32) error                  { return errNotWindows }
func wtsLogOff(id uint32) error                      { return errNotWindows }
func wtsMessage(id uint32, title, text string) error { return errNotWindows }
