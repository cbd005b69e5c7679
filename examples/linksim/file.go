package main

// A scenarioFile is a scenario as it stands in a file; see the package comment.
type scenarioFile struct {
	Name     string     `json:"name"`
	Seed     uint64     `json:"seed"`
	Duration string     `json:"duration"`
	Settle   string     `json:"settle"`
	Bin      string     `json:"bin"`
	Links    []linkFile `json:"links"`
	Flows    []flowFile `json:"flows"`
}

type linkFile struct {
	Name          string        `json:"name"`
	Rate          float64       `json:"rate"`
	Steps         []stepFile    `json:"steps"`
	Sine          *sineFile     `json:"sine"`
	Trace         string        `json:"trace"`
	Buffer        string        `json:"buffer"`
	BufferBytes   int           `json:"buffer_bytes"`
	BufferPackets int           `json:"buffer_packets"`
	AQM           *aqmFile      `json:"aqm"`
	Policer       *policerFile  `json:"policer"`
	Elements      []elementFile `json:"elements"`
	Delay         string        `json:"delay"`
	Routes        []routeFile   `json:"routes"`
	Outages       []outageFile  `json:"outages"`
}

type stepFile struct {
	At   string  `json:"at"`
	Rate float64 `json:"rate"`
}

type sineFile struct {
	Mean      float64 `json:"mean"`
	Amplitude float64 `json:"amplitude"`
	Period    string  `json:"period"`
}

type aqmFile struct {
	CoDel *struct {
		Target   string `json:"target"`
		Interval string `json:"interval"`
	} `json:"codel"`
	RED *struct {
		Min string  `json:"min"`
		Max string  `json:"max"`
		P   float64 `json:"p"`
	} `json:"red"`
	StepMark *struct {
		At string `json:"at"`
	} `json:"step_mark"`
	DualQ *struct {
		Target string `json:"target"`
		Step   string `json:"step"`
	} `json:"dualq"`
}

type policerFile struct {
	Rate  float64 `json:"rate"`
	Bytes int     `json:"bytes"`
}

type elementFile struct {
	Loss *struct {
		P float64 `json:"p"`
	} `json:"loss"`
	BurstLoss *struct {
		ToBad  float64 `json:"to_bad"`
		ToGood float64 `json:"to_good"`
		Good   float64 `json:"good"`
		Bad    float64 `json:"bad"`
	} `json:"burst_loss"`
	Jitter *struct {
		Law       string  `json:"law"`
		Max       string  `json:"max"`
		Deviation string  `json:"deviation"`
		P         float64 `json:"p"`
		Reorder   bool    `json:"reorder"`
	} `json:"jitter"`
	Reorder *struct {
		P  float64 `json:"p"`
		By string  `json:"by"`
	} `json:"reorder"`
	Duplicate *struct {
		P     float64 `json:"p"`
		After string  `json:"after"`
	} `json:"duplicate"`
	Aggregate *struct {
		Packets int    `json:"packets"`
		Every   string `json:"every"`
	} `json:"aggregate"`
	HARQ *struct {
		P     float64 `json:"p"`
		Step  string  `json:"step"`
		Tries int     `json:"tries"`
	} `json:"harq"`
}

type routeFile struct {
	At    string `json:"at"`
	Delay string `json:"delay"`
}

type outageFile struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Flush bool   `json:"flush"`
}

type flowFile struct {
	Name        string        `json:"name"`
	Controller  string        `json:"controller"`
	Rate        float64       `json:"rate"`
	MaxRate     float64       `json:"max_rate"`
	Start       string        `json:"start"`
	Stop        string        `json:"stop"`
	Path        []string      `json:"path"`
	Back        []string      `json:"back"`
	Delay       string        `json:"delay"`
	Return      string        `json:"return"`
	PacketBytes int           `json:"packet_bytes"`
	Source      *sourceFile   `json:"source"`
	Pauses      []pauseFile   `json:"pauses"`
	ECN         string        `json:"ecn"`
	Feedback    *feedbackFile `json:"feedback"`
	Sender      *clockFile    `json:"sender"`
	Receiver    *clockFile    `json:"receiver"`
}

type sourceFile struct {
	Frames *struct {
		FPS       int     `json:"fps"`
		Rate      float64 `json:"rate"`
		Min       float64 `json:"min"`
		Max       float64 `json:"max"`
		KeyEvery  string  `json:"key_every"`
		KeyFactor float64 `json:"key_factor"`
		Deviation float64 `json:"deviation"`
	} `json:"frames"`
	Desktop *struct {
		Video float64 `json:"video"`
	} `json:"desktop"`
	OnOff *struct {
		Min  int64  `json:"min"`
		Max  int64  `json:"max"`
		Off  string `json:"off"`
		Late bool   `json:"late"`
	} `json:"on_off"`
	Poisson *struct {
		Rate float64 `json:"rate"`
	} `json:"poisson"`
}

type pauseFile struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type feedbackFile struct {
	Kind    string `json:"kind"`
	Packets int    `json:"packets"`
	Delay   string `json:"delay"`
}

type clockFile struct {
	Offset string  `json:"offset"`
	PPM    float64 `json:"ppm"`
	Steps  []struct {
		At string `json:"at"`
		By string `json:"by"`
	} `json:"steps"`
	Granularity string `json:"granularity"`
}
