package keys

import (
	"bytes"
	"io/fs"
	"os"
	"sync"
)

// Files are files that were read, each once, however many parts of the program ask for one: a session is looked up by the
// same bytes that it is made with, and a pipe can only be read once. The zero value is ready to use. Its methods may be
// called from many goroutines.
type Files struct {
	mu   sync.Mutex
	read map[string]*fileData
}

type fileData struct {
	data []byte
	info fs.FileInfo
}

// get returns what the file held when it was first asked for. The caller may change the bytes.
func (f *Files) get(file string) ([]byte, fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.read[file]; known != nil {
		return bytes.Clone(known.data), known.info, nil
	}
	data, info, err := readFile(file)
	if err != nil {
		return nil, nil, err
	}
	if f.read == nil {
		f.read = map[string]*fileData{}
	}
	f.read[file] = &fileData{data, info}
	return bytes.Clone(data), info, nil
}

// torn says whether a file is another one than was read: then the files may be of two pairs, one read before and one
// after they were replaced.
func (f *Files) torn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for file, known := range f.read {
		if !known.info.Mode().IsRegular() {
			continue
		}
		now, err := os.Stat(file)
		if err != nil || !os.SameFile(now, known.info) || !now.ModTime().Equal(known.info.ModTime()) || now.Size() != known.info.Size() {
			return true
		}
	}
	return false
}

// Refresh reads the files again, and says whether one of them is another than before. What can be read only once stays.
func (f *Files) Refresh() (changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for file, known := range f.read {
		if !known.info.Mode().IsRegular() {
			continue
		}
		data, info, err := readFile(file)
		if err != nil {
			delete(f.read, file) // it is being replaced, or whoever asks next gets the error
			changed = true
			continue
		}
		changed = changed || !bytes.Equal(data, known.data)
		f.read[file] = &fileData{data, info}
	}
	return changed
}

// Wipe overwrites what was read of files that can be read again: a private key need not stay in memory once it has signed.
func (f *Files) Wipe() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for file, known := range f.read {
		if known.info.Mode().IsRegular() {
			clear(known.data)
			delete(f.read, file)
		}
	}
}
