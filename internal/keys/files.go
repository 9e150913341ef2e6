package keys

import (
	"bytes"
	"io/fs"
	"os"
	"sync"

	"github.com/eks-x509/eks-x509/internal/safefile"
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
	data, info, err := f.input(file, maxFileSize)
	if err != nil {
		return nil, nil, err
	}
	f.keep(file, data, info)
	return bytes.Clone(data), info, nil
}

func (f *Files) keep(file string, data []byte, info fs.FileInfo) {
	if f.read == nil {
		f.read = map[string]*fileData{}
	}
	f.read[file] = &fileData{data, info}
}

// input reads a file, or returns what was read from it by another name, such as /dev/stdin and /dev/fd/0, if it can't be read again.
func (f *Files) input(file string, limit int64) ([]byte, fs.FileInfo, error) {
	if now, err := os.Stat(file); err == nil && !now.Mode().IsRegular() {
		for _, known := range f.read {
			if !known.info.Mode().IsRegular() && os.SameFile(now, known.info) {
				return bytes.Clone(known.data), known.info, nil
			}
		}
	}
	data, info, err := safefile.ReadInput(file, limit) // also <(…) of a shell
	return data, info, withoutPath(err)
}

// Read returns what a file holds now, or held if it can be read only once. The caller may change the bytes.
func (f *Files) Read(file string, limit int64) ([]byte, fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, info, err := f.input(file, limit)
	if err == nil && !info.Mode().IsRegular() {
		f.keep(file, bytes.Clone(data), info)
	}
	return data, info, err
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
		data, info, err := f.input(file, maxFileSize)
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
