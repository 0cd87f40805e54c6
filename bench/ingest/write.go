package main

import (
	"bufio"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// write writes clean transactions as CSV, at least so many bytes of them, and
// returns how many rows. Every 50th balance is missing.
func write(path string, bytes int64) (rows int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	n, err := out.WriteString("txn_id,customer_id,at,amount,balance,country,merchant,channel,card_age_days,fraud\n")
	random := rand.New(rand.NewPCG(1, 1))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var line []byte
	for written := int64(n); written < bytes && err == nil; written += int64(n) {
		at = at.Add(time.Duration(random.IntN(900)) * time.Millisecond)
		line = appendRow(line[:0], random, rows, at)
		n, err = out.Write(line)
		rows++
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return rows, err
}

var (
	countries = [...]string{"DE", "FR", "NL", "IT", "ES", "PL", "US"}
	merchants = [...]string{"groceries", "fuel", "restaurant", "travel", "electronics", "gift cards", "\"clothing, shoes\""}
	channels  = [...]string{"chip", "contactless", "online"}
)

func appendRow(b []byte, random *rand.Rand, row int64, at time.Time) []byte {
	b = append(b, 't')
	b = strconv.AppendInt(b, 1_000_000_000+row, 10)
	b = append(b, ",c"...)
	b = strconv.AppendInt(b, int64(random.IntN(200_000)), 10)
	b = append(b, ',')
	b = at.AppendFormat(b, time.RFC3339)
	b = append(b, ',')
	b = strconv.AppendFloat(b, math.Exp(3.2+1.1*random.NormFloat64()), 'f', 2, 64)
	b = append(b, ',')
	if row%50 != 0 {
		b = strconv.AppendFloat(b, math.Exp(7.3+.8*random.NormFloat64()), 'f', 2, 64)
	}
	b = append(b, ',')
	b = append(b, countries[random.IntN(len(countries))]...)
	b = append(b, ',')
	b = append(b, merchants[random.IntN(len(merchants))]...)
	b = append(b, ',')
	b = append(b, channels[random.IntN(len(channels))]...)
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(random.ExpFloat64()*500), 10)
	b = append(b, ',')
	b = strconv.AppendBool(b, random.IntN(200) == 0)
	return append(b, '\n')
}
