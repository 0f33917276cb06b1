package main

// published has round trips a second of Microsoft MARO 0.3.2a4, maro.communication as it is shipped
// (pyzmq 24.0.1, Redis 7.0.15, Python 3.11), measured elsewhere: on a virtual machine of two cores
// of an AMD EPYC, medians of five repetitions, bodies arrays of NumPy.
var published = map[string]float64{
	"send 0 B ack": 1627, "send 0 B echo": 1691,
	"send 1 KiB ack": 1663, "send 1 KiB echo": 1534,
	"send 64 KiB ack": 1665, "send 64 KiB echo": 1339,
	"send 1 MiB ack": 243, "send 1 MiB echo": 134,

	"scatter 0 B ack": 428, "scatter 0 B echo": 457,
	"scatter 1 KiB ack": 509, "scatter 1 KiB echo": 357,
	"scatter 64 KiB ack": 429, "scatter 64 KiB echo": 392,
	"scatter 1 MiB ack": 63, "scatter 1 MiB echo": 39,

	"broadcast 0 B ack": 562, "broadcast 0 B echo": 574,
	"broadcast 1 KiB ack": 656, "broadcast 1 KiB echo": 460,
	"broadcast 64 KiB ack": 490, "broadcast 64 KiB echo": 421,
	"broadcast 1 MiB ack": 89, "broadcast 1 MiB echo": 57,
}

// publishedJoin is its time to join in seconds, one master and four workers that start together: a
// sleep of three seconds, and 0.11.
const publishedJoin = 3.113

// ofMARO returns MARO's figure to compare with, 0 where there is none. With round trips under way
// at once it is that of one at a time.
func ofMARO(x experiment) float64 {
	switch x.Pattern {
	case "join":
		return publishedJoin
	case "flight", "isend":
		x.Pattern = "send"
	}
	return published[x.name()]
}
