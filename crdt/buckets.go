package crdt

import "crypto/sha256"

// BucketDigest is over the retained operations of the objects in one bucket; zero if there are none.
func (s *Set) BucketDigest(bucket uint16) [32]byte {
	var text []byte
	for _, o := range s.pages.of(int(bucket)) {
		digest := s.ObjectDigest(o.key)
		text = append(text, digest[:]...)
	}
	if text == nil {
		return [32]byte{}
	}
	return sha256.Sum256(text)
}

// BucketKeys returns the keys in one bucket, sorted.
func (s *Set) BucketKeys(bucket uint16) []Key {
	var keys []Key
	for _, o := range s.pages.of(int(bucket)) {
		keys = append(keys, o.key)
	}
	return keys
}
