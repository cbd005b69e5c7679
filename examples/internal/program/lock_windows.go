package program

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// Lock keeps a second process off dir for as long as this one lives, or until
// the returned function is called.
func Lock(dir string) (unlock func(), err error) {
	path, err := windows.UTF16PtrFromString(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	// A share mode of zero lets nobody else open the file.
	h, err := windows.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	return func() { windows.CloseHandle(h) }, nil
}
