// A receiver as seed 000 describes it: net/http, GORM, SQLite, one row a request. It is here to be compared with.
//
//	receiver ADDRESS DATABASE
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

type metric struct {
	ID           uint   `gorm:"primaryKey"`
	Organization string `gorm:"index:job"`
	Repository   string `gorm:"index:job"`
	Workflow     string `gorm:"index:job"`
	Job          string `gorm:"index:job"`
	RunID        string
	ReceivedAt   time.Time
	Payload      string
}

type post struct {
	Execution struct {
		Organization string `json:"organization"`
		Repository   string `json:"repository"`
		Workflow     string `json:"workflow"`
		Job          string `json:"job"`
		RunID        string `json:"run_id"`
	} `json:"execution"`
	RunSummary json.RawMessage `json:"run_summary"`
}

func main() {
	// As durable as ours: a commit waits for the disk.
	dsn := os.Args[2] + "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000"
	db, err := gorm.Open(sqlite.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		log.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		log.Fatal(err)
	}
	pool.SetMaxOpenConns(1)
	if err := db.AutoMigrate(&metric{}); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /api/v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		var sent post
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		e := sent.Execution
		row := metric{
			Organization: e.Organization, Repository: e.Repository, Workflow: e.Workflow, Job: e.Job,
			RunID: e.RunID, ReceivedAt: time.Now(), Payload: string(sent.RunSummary),
		}
		if err := db.Create(&row).Error; err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]uint{"id": row.ID})
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
