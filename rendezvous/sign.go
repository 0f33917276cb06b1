package rendezvous

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// errSignature means that a record was not made with this job's secret, or not for this place.
var errSignature = errors.New("the signature does not match: another TUTTI_SECRET, or a forgery")

// derive makes a key for one purpose from the job's secret.
func derive(secret []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// storePassword is the embedded server's password. The secret does not follow from it.
func storePassword(secret string) string {
	return hex.EncodeToString(derive([]byte(secret), "tutti embedded store password 1"))
}

// seal and unseal authenticate the records of one job. Each record's signature covers what it is
// (label), where it belongs (job, roll) and its content, so that none can be moved elsewhere.
type signer struct {
	key []byte // nil without a secret: records are then unsigned
	job string
}

func newSigner(secret []byte, job string) signer {
	if len(secret) == 0 {
		return signer{job: job}
	}
	return signer{key: derive(secret, "tutti roll call 1"), job: job}
}

const unsigned = "-"

// seal returns signature, newline, body.
func (s signer) seal(label, roll string, body []byte) []byte {
	record := append([]byte(s.sum(label, roll, body)), '\n')
	return append(record, body...)
}

// unseal checks the signature and returns the body.
func (s signer) unseal(label, roll string, record []byte) ([]byte, error) {
	signature, body, found := bytes.Cut(record, []byte("\n"))
	if !found || !hmac.Equal(signature, []byte(s.sum(label, roll, body))) {
		return nil, errSignature
	}
	return body, nil
}

// sum signs the length-prefixed parts.
func (s signer) sum(label, roll string, body []byte) string {
	if s.key == nil {
		return unsigned
	}
	mac := hmac.New(sha256.New, s.key)
	for _, part := range [][]byte{[]byte(label), []byte(s.job), []byte(roll), body} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}
