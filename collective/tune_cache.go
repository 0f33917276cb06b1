package collective

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/topology"
)

// speedsAge is for how long measured speeds are taken for true. Measuring anew costs half a second
// at the most; what was measured while something else had the machine should not stay for long.
const speedsAge = 24 * time.Hour

// speedCache is the file that keeps the speeds between the ranks of a job: of these hosts, by this
// driver, with so many ranks each. Only rank 0 has one. What goes wrong with it is said, and costs
// a measurement.
type speedCache struct {
	path  string // "" when nothing is kept
	fresh bool   // what is kept is not read
	key   string
	log   *slog.Logger
}

// savedSpeeds is what stands in the file.
type savedSpeeds struct {
	Key      string          `json:"key"`
	Measured time.Time       `json:"measured"`
	Fabric   topology.Fabric `json:"fabric"`
}

// openCache finds the file for these ranks: in the user's directory for such things, or the one
// that is asked for.
func openCache(
	cfg *config, driver string, members []rendezvous.Member, log *slog.Logger,
) *speedCache {
	var b strings.Builder
	fmt.Fprintf(&b, "%s driver=%s ranks=%d cores=%d %s", speedsFormat, driver, len(members),
		runtime.NumCPU(), runtime.GOARCH)
	for _, m := range members {
		fmt.Fprintf(&b, " %q", m.HostID)
	}
	s := &speedCache{key: b.String(), log: log, fresh: cfg.tunes() == TuneFresh}
	dir := cfg.tuningCache
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			log.Debug("speeds of links are not kept", "error", err)
			return s
		}
		dir = filepath.Join(user, "tutti")
	}
	sum := sha256.Sum256([]byte(s.key))
	s.path = filepath.Join(dir, fmt.Sprintf("speeds-%x.json", sum[:12]))
	return s
}

// speedsFormat changes when what is measured, or how it is written, does.
const speedsFormat = "tutti speeds 5"

// load returns the fabric that is kept, encoded; nothing when there is none that can be used.
func (s *speedCache) load() []byte {
	if s.path == "" || s.fresh {
		return nil
	}
	saved, err := s.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		s.log.Warn("speeds of links are measured anew", "file", s.path, "error", err)
		return nil
	}
	b, err := json.Marshal(saved.Fabric)
	if err != nil || len(b) > maxFabricBytes {
		return nil
	}
	return b
}

var errSpeeds = errors.New("collective: not a file of speeds")

func (s *speedCache) read() (*savedSpeeds, error) {
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%w: others may write it: its mode is %v", errSpeeds, info.Mode())
	}
	b, err := io.ReadAll(io.LimitReader(file, 2*maxFabricBytes))
	if err != nil {
		return nil, err
	}
	saved := &savedSpeeds{}
	if err := json.Unmarshal(b, saved); err != nil {
		return nil, fmt.Errorf("%w: %w", errSpeeds, err)
	}
	switch age := time.Since(saved.Measured); {
	case saved.Key != s.key:
		return nil, fmt.Errorf("%w of these ranks: it is of %q", errSpeeds, saved.Key)
	case age < 0 || age > speedsAge:
		return nil, fs.ErrNotExist
	}
	return saved, saved.Fabric.Check()
}

// store keeps a fabric for the next time.
func (s *speedCache) store(f *topology.Fabric) {
	if s.path == "" {
		return
	}
	if err := s.write(f); err != nil {
		s.log.Warn("speeds of links can't be kept", "file", s.path, "error", err)
	}
}

// write puts the file in its place whole or not at all: many jobs may do so at the same time.
func (s *speedCache) write(f *topology.Fabric) error {
	saved := savedSpeeds{Key: s.key, Measured: time.Now().UTC().Truncate(time.Second), Fabric: *f}
	b, err := json.MarshalIndent(saved, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(s.path), ".speeds-*") // for the owner only
	if err != nil {
		return err
	}
	_, err = file.Write(append(b, '\n'))
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
