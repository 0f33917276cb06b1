package schedule

var barrierAlgorithms = []*Algorithm{
	barrierDissemination,
	barrierOneShot,
}
