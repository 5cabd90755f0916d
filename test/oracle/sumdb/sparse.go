package main

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// sparseLog is a log of any size that takes no room: all of its records are the same but for the marked ones.
type sparseLog struct {
	Marks []int64 `json:"marks"`

	same []tlog.Hash
	memo map[[2]int64]tlog.Hash
}

func (l *sparseLog) record(n int64) []byte {
	if slices.Contains(l.Marks, n) {
		return fmt.Appendf(nil, "record %d\n", n)
	}
	return []byte("record\n")
}

func (l *sparseLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		found[i] = l.node(level, n)
	}
	return found, nil
}

func (l *sparseLog) node(level int, n int64) tlog.Hash {
	isMarked := func(mark int64) bool { return mark>>level == n }
	if !slices.ContainsFunc(l.Marks, isMarked) {
		return l.unmarked(level)
	}
	if level == 0 {
		return tlog.RecordHash(l.record(n))
	}
	key := [2]int64{int64(level), n}
	hash, ok := l.memo[key]
	if !ok {
		hash = tlog.NodeHash(l.node(level-1, 2*n), l.node(level-1, 2*n+1))
		if l.memo == nil {
			l.memo = map[[2]int64]tlog.Hash{}
		}
		l.memo[key] = hash
	}
	return hash
}

// unmarked is the hash of a subtree of records that are all the same.
func (l *sparseLog) unmarked(level int) tlog.Hash {
	if len(l.same) == 0 {
		l.same = []tlog.Hash{tlog.RecordHash([]byte("record\n"))}
	}
	for len(l.same) <= level {
		last := l.same[len(l.same)-1]
		l.same = append(l.same, tlog.NodeHash(last, last))
	}
	return l.same[level]
}

// tampering changes a bit of one tile, or its length.
type tampering struct {
	Path string `json:"path"`
	Byte int    `json:"byte"`
	Bit  int    `json:"bit"`
	// Bytes more or, below 0, less.
	Extra int `json:"extra"`
}

// tiles are those of a log.
type tiles struct {
	height int
	log    *sparseLog
	tamper tampering
	asked  []string
}

func (t *tiles) Height() int { return t.height }

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(asked []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range asked {
		bytes, err := tlog.ReadTileData(tile, t.log)
		if err != nil {
			return nil, err
		}
		if tile.Path() == t.tamper.Path {
			if t.tamper.Extra == 0 {
				bytes[t.tamper.Byte] ^= 1 << t.tamper.Bit
			} else if t.tamper.Extra > 0 {
				bytes = append(bytes, make([]byte, t.tamper.Extra)...)
			} else {
				bytes = bytes[:len(bytes)+t.tamper.Extra]
			}
		}
		t.asked = append(t.asked, tile.Path())
		data = append(data, bytes)
	}
	return data, nil
}
